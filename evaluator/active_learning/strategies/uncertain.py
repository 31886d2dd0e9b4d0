"""Chance, and the unsure by one pass without dropout. In: State; out: ids.

p is the softmax of the head. The published rules can first take the 50·B most unsure and thin them by k-means, or take
the middle of the ranking; both are off by default there and left out here.
"""

import torch
from torch import Tensor

from evaluator.active_learning.state import State
from evaluator.active_learning.strategies.choosing import highest, shuffled


def random(state: State) -> Tensor:
    """Uniform on the unlabelled."""
    return shuffled(state.unlabelled, state.generator)[: state.count]


def uncertainty(state: State) -> Tensor:
    """The lowest probability of the most probable class."""
    return _highest(state, -_probabilities(state).amax(dim=1))


def entropy(state: State) -> Tensor:
    """The highest −Σ p log p. The published code gives NaN, which sorts as the highest, at p = 0; here 0 log 0 = 0."""
    return _highest(state, entropies(_probabilities(state)))


def margin(state: State) -> Tensor:
    """The smallest lead of the most probable class over the second. With one class every lead is 1."""
    return _highest(state, -leads(_probabilities(state)))


def entropies(probabilities: Tensor) -> Tensor:
    """(…) −Σ p log p in nats of (…, C), with 0 log 0 = 0."""
    return torch.special.entr(probabilities.double()).sum(dim=-1)


def leads(probabilities: Tensor) -> Tensor:
    """(n,) p of the most probable class less p of the second, of (n, C); 1 where there is one class only."""
    if probabilities.shape[1] == 1:
        return torch.ones_like(probabilities[:, 0])
    first, second = probabilities.topk(2, dim=1).values.unbind(dim=1)
    return first - second


def _probabilities(state: State) -> Tensor:
    return state.head.probabilities(state.pool.features[state.unlabelled])


def _highest(state: State, scores: Tensor) -> Tensor:
    return highest(scores, state.unlabelled, state.count, state.generator)
