"""Rank intervals from shared replicates. In: scores and (B, N) replicates; out: who is significantly better."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_DIFFERENCE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """rank_low = 1 + number significantly better, rank_high = N − number significantly worse, group = 1, 2, … from
    the top; resolvable = the smallest difference that a median pair could show as significant (None for N < 2)."""

    rank_low: tuple[int, ...]
    rank_high: tuple[int, ...]
    group: tuple[int, ...]
    resolvable: float | None


def rank(scores: NDArray[np.float64], replicates: NDArray[np.float64], level: float = 0.95) -> Ranks:
    """Simultaneous rank intervals at `level` by the studentised max-|t| over all pairs.

    scores: (N,), finite, higher is better. replicates: (B, N), drawn with the same weights for all columns.
    Identical columns never differ; a pair whose difference does not vary differs iff their scores do.
    Source: Romano & Wolf step-one bound; rank sets after Mogstad, Romano, Shaikh & Wilhelm (2024).
    """
    n = len(scores)
    if n == 0:
        return Ranks(rank_low=(), rank_high=(), group=(), resolvable=None)
    better, threshold = _significantly_better(scores, replicates, level)
    order = sorted(range(n), key=lambda i: (-scores[i], i))
    return Ranks(
        rank_low=tuple(int(k) for k in 1 + better.sum(axis=0)),
        rank_high=tuple(int(k) for k in n - better.sum(axis=1)),
        group=_groups(order, better),
        resolvable=threshold,
    )


def _significantly_better(
    scores: NDArray[np.float64], replicates: NDArray[np.float64], level: float
) -> tuple[NDArray[np.bool_], float | None]:
    """better[i, j] = i significantly above j; and the critical value times the median standard error of a pair."""
    n = len(scores)
    centred = np.ascontiguousarray((replicates - scores).T)  # (N, B): one row per entry
    largest = np.zeros(centred.shape[1])
    errors = np.zeros((n, n))
    for i in range(n - 1):
        spread = centred[i] - centred[i + 1 :]  # (N−i−1, B)
        error = spread.std(axis=1, ddof=1)
        errors[i, i + 1 :] = error
        varies = error > NO_DIFFERENCE
        if varies.any():
            np.abs(spread, out=spread)
            spread[varies] /= error[varies, None]
            np.maximum(largest, spread[varies].max(axis=0), out=largest)
    errors += errors.T
    critical = float(np.quantile(largest, level))
    difference = scores[:, None] - scores[None, :]
    better = difference > np.maximum(critical * errors, NO_DIFFERENCE)
    pairs = errors[np.triu_indices(n, k=1)]
    return better, critical * float(np.median(pairs)) if n > 1 else None


def _groups(order: list[int], better: NDArray[np.bool_]) -> tuple[int, ...]:
    """Greedy from the top: a new group starts at the first entry significantly below its group's leader."""
    group = [0] * len(order)
    leader, current = order[0], 1
    for i in order:
        if better[leader, i]:
            leader, current = i, current + 1
        group[i] = current
    return tuple(group)
