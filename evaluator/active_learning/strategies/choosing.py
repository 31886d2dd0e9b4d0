"""What several strategies do with candidates: take the best, fill up, spread out. In: candidates; out: ids."""

import torch
from torch import Tensor
from torch.nn import functional

from evaluator.active_learning.kmeans import kmeans, nearest_members
from evaluator.active_learning.state import State


def shuffled(ids: Tensor, generator: torch.Generator) -> Tensor:
    """The ids in random order."""
    order = torch.randperm(len(ids), generator=generator, device=generator.device)
    return ids[order.to(ids.device)]


def highest(scores: Tensor, ids: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count,) the ids of the highest scores; ties are broken by chance, so that the order of a file decides nothing.

    scores, ids: (n,), n ≥ count; −inf is allowed. Raises RuntimeError at NaN, which would sort as the highest.
    """
    if torch.isnan(scores).any():
        raise RuntimeError("a strategy scored a candidate as NaN")
    mixed = shuffled(torch.arange(len(ids), device=ids.device), generator)
    return ids[mixed[torch.argsort(scores[mixed], descending=True, stable=True)[:count]]]


def filled(chosen: Tensor, state: State) -> Tensor:
    """(count,) what is chosen, fewer than wanted, and a uniform draw from the rest of the unlabelled."""
    unlabelled = state.unlabelled
    rest = unlabelled[~torch.isin(unlabelled, chosen)]
    return torch.cat([chosen, shuffled(rest, state.generator)[: state.count - len(chosen)]])


def spread_out(candidates: Tensor, embedded: Tensor, state: State) -> Tensor:
    """(count,) candidates that differ: k-means into `count` groups of unit-length `embedded` (one row per candidate),
    the member nearest to the centre of each. All of them and a uniform fill where they are fewer than wanted."""
    if len(candidates) <= state.count:
        return filled(candidates, state)
    directions = functional.normalize(embedded, dim=1)
    return candidates[nearest_members(directions, kmeans(directions, state.count, generator=state.generator))]
