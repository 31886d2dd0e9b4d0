"""The images that may be labelled. In: features; out: Pool, with what strategies need of the features alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """features: (n, d) float32, as the encoder gave them, finite (evaluator.active_learning.checks)."""

    features: Tensor
    n_classes: int

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def directions(self) -> Tensor:
        """(n, d) the features at unit length; a feature of length 0 stays 0."""
        return functional.normalize(self.features, dim=1)

    @cached_property
    def everyone(self) -> Tensor:
        """(n,) all ids: the rows of `features`."""
        return torch.arange(len(self), device=self.features.device)


Found = TypeVar("Found")
Given = TypeVarTuple("Given")


def once_per_pool(find: Callable[[Pool, *Given], Found]) -> Callable[[Pool, *Given], Found]:
    """Keep what `find` gives, per further arguments, for as long as the pool lives. It must not hold the pool itself.

    Its chance comes from `pool_generator`, so that an answer never depends on who asked first.
    """
    kept: WeakKeyDictionary[Pool, dict[tuple[*Given], Found]] = WeakKeyDictionary()

    def found(pool: Pool, *given: *Given) -> Found:
        of_pool = kept.setdefault(pool, {})
        if given not in of_pool:
            of_pool[given] = find(pool, *given)
        return of_pool[given]

    return found


def pool_generator() -> torch.Generator:
    """A fresh source of chance for what is decided once per pool, the same for every run and seed."""
    return torch.Generator().manual_seed(0)
