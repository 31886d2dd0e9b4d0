"""What a strategy knows when it chooses, and the promise that every one keeps. In: State; out: ids."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.pool import Pool
from evaluator.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class State:
    """labelled: (m,) ids in the order in which they were labelled; labels: (m,) their classes, 0 … C − 1 (a class may
    be unseen); head: trained on them; count: how many ids are wanted; generator: the only source of chance."""

    pool: Pool
    labelled: Tensor
    labels: Tensor
    head: LinearHead
    count: int
    generator: torch.Generator

    @property
    def unlabelled(self) -> Tensor:
        """(n − m,) ids that may be chosen, ascending."""
        open_to_choice = torch.ones(len(self.pool), dtype=torch.bool, device=self.pool.features.device)
        open_to_choice[self.labelled] = False
        return self.pool.everyone[open_to_choice]


Query = Callable[[State], Tensor]  # → (count,) ids


def keep_promise(query: Query, state: State) -> Tensor:
    """Ask for exactly `count` new distinct ids.

    Raises InputError `too_few_candidates` when the pool has not so many left; RuntimeError when the strategy broke its
    word, which is a bug and never passed on as a shorter list.
    """
    candidates = state.unlabelled
    if not 1 <= state.count <= len(candidates):
        message = (f"{state.count} more labels were asked for, but {len(candidates)} of the {len(state.pool)} images "
                   "have none yet. Ask for fewer, or add images.")  # fmt: skip
        raise InputError.single("too_few_candidates", message)
    chosen = query(state)
    if len(chosen) != state.count or len(torch.unique(chosen)) != state.count:
        raise RuntimeError(f"a strategy gave {len(torch.unique(chosen))} distinct ids of {state.count}")
    if not torch.isin(chosen, candidates).all():
        raise RuntimeError("a strategy chose what is labelled already")
    return chosen
