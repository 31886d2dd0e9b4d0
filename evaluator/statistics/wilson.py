"""Clustered Wilson intervals. In: right answers and questions per source; out: an estimate with its 95 % interval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054
FEW_SOURCES = 10  # below this an interval is marked "too few"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A fraction with its 95 % interval; all three None when nothing was measured (n_questions = 0)."""

    estimate: float | None
    low: float | None
    high: float | None
    n_questions: int
    n_sources: int

    @property
    def too_few(self) -> bool:
        """Fewer than ten sources stand behind the number."""
        return self.n_sources < FEW_SOURCES


def clustered_wilson(
    correct: NDArray[np.float64], count: NDArray[np.float64], votes: NDArray[np.float64] | None = None
) -> Estimate:
    """Wilson interval of a mean of task accuracies with the effective n of clustered questions.

    correct, count: (G, T) right answers s_gt and questions m_gt of source g in task t. votes: (T,), how much each
    task weighs in the mean (default: equal); tasks without a question drop out. One task is the plain case:
    p = Σs/Σm, var = G/(G−1)·Σ(s_g − p·m_g)²/n², n_eff = min(n, p(1−p)/var), n_eff = G when var is 0.
    Several tasks: p = Σ w_t p_t and the same with the linearised residual Σ_t w_t (s_gt − p_t·m_gt)/n_t.
    Sources without a question do not count. Definition: docs/decisions.md, "Intervals". Marks may be fractions: theirs
    vary no more than right and wrong with the same mean, so capping n_eff at n errs on the wide side.
    """
    asked = count.sum(axis=0) > 0
    correct, count = correct[:, asked], count[:, asked]
    present = count.sum(axis=1) > 0
    correct, count = correct[present], count[present]
    n_sources, n = len(count), float(count.sum())
    if n == 0:
        return Estimate(estimate=None, low=None, high=None, n_questions=0, n_sources=0)
    weight = np.ones(count.shape[1]) if votes is None else votes[asked]
    weight = weight / weight.sum()
    per_task = correct.sum(axis=0) / count.sum(axis=0)
    p = float(weight @ per_task)
    residual = ((correct - per_task * count) / count.sum(axis=0)) @ weight
    variance = n_sources / (n_sources - 1) * float(residual @ residual) if n_sources > 1 else 0.0
    # 1e-15: residuals of constant answers are zero up to rounding, and the effective n is then the number of sources.
    n_eff = min(n, p * (1 - p) / variance) if variance > 1e-15 else float(n_sources)
    low, high = wilson(p, n_eff)
    return Estimate(estimate=p, low=low, high=high, n_questions=int(n), n_sources=n_sources)


def wilson(p: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval (low, high) of a fraction p seen on n > 0 independent trials (Wilson 1927)."""
    low, high = wilson_ends(np.float64(p), np.float64(n), z)
    return float(low), float(high)


def wilson_ends(p: ArrayLike, n: ArrayLike, z: float = Z95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's low and high ends of many fractions at once, of the shape that `p` and `n` have together."""
    p, n = np.asarray(p, np.float64), np.asarray(n, np.float64)
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(np.maximum(p * (1 - p), 0.0) / n + z * z / (4 * n * n))
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)
