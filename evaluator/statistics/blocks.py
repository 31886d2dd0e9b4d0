"""Methods compared over blocks (seeds, datasets). In: a score per block and method; out: tests, mean ranks, groups."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit
from scipy.stats import rankdata, studentized_range

Floats = NDArray[np.float64]
NO_DIFFERENCE = 1e-12  # scores that differ by less are equal: sums of the same fractions in another order


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over blocks, its 95 % interval by Student's t, and the two-sided p of its being 0."""

    estimate: float
    low: float
    high: float
    p: float


def mean_of(values: Floats) -> Mean:
    """The mean of (N,) values, N ≥ 2; of differences, this is the paired t-test."""
    n, estimate = len(values), float(values.mean())
    error = float(values.std(ddof=1)) / n**0.5
    if error <= NO_DIFFERENCE:
        return Mean(estimate=estimate, low=estimate, high=estimate, p=float(abs(estimate) <= NO_DIFFERENCE))
    reach = float(stdtrit(n - 1, 0.975)) * error
    p = 2 * float(stdtr(n - 1, -abs(estimate) / error))
    return Mean(estimate=estimate, low=estimate - reach, high=estimate + reach, p=p)


def mean_ranks(scores: Floats) -> Floats:
    """(M,) mean over blocks of each method's rank, 1 = highest score, equal ones share; scores: (N, M)."""
    near = np.round(scores / NO_DIFFERENCE) * NO_DIFFERENCE
    return np.asarray(rankdata(-near, axis=1), np.float64).mean(axis=0)


@cache
def critical_difference(n_methods: int, n_blocks: int) -> float:
    """By how much mean ranks must differ at the 5 % level, all pairs looked at (Nemenyi; Demšar 2006)."""
    if n_methods < 2:
        return 0.0
    spread = float(studentized_range.ppf(0.95, n_methods, np.inf)) / 2**0.5
    return spread * (n_methods * (n_methods + 1) / (6 * n_blocks)) ** 0.5


def rank_groups(ranks: Floats, difference: float) -> tuple[int, ...]:
    """1, 2, … from the best mean rank: a new group starts at the first method that is worse than its group's leader by
    more than the critical difference."""
    group = [0] * len(ranks)
    leader, current = -np.inf, 0
    for place in np.argsort(ranks, kind="stable"):
        if ranks[place] - leader > difference:
            leader, current = float(ranks[place]), current + 1
        group[place] = current
    return tuple(group)
