"""DropQuery (Gupte et al. 2024): points on which the head disagrees with itself under dropout, spread out."""

from torch import Tensor

from evaluator.active_learning.state import State
from evaluator.active_learning.strategies.choosing import spread_out

PASSES = 3
ENOUGH = 25  # candidates per id wanted


def dropquery(state: State) -> Tensor:
    """Candidates are points whose class differs in at least 2 of 3 passes with dropout from that without; where they
    are fewer than 25 per id wanted, in at least 1. Of them `count` that differ (k-means on unit z); all and a uniform
    fill where fewer.

    The published code ends when no point differs in all passes; here it goes on, and with a fill when all agree.
    """
    unlabelled, head = state.unlabelled, state.head
    features = state.pool.features[unlabelled]
    predicted = head.probabilities(features).argmax(dim=1)
    differing = (head.stochastic(features, PASSES, state.generator).argmax(dim=2) != predicted).sum(dim=0)
    least = PASSES // 2 + 1
    while least > 1 and (differing >= least).sum() < ENOUGH * state.count:
        least -= 1
    candidates = differing >= least
    return spread_out(unlabelled[candidates], head.embed(features[candidates]), state)
