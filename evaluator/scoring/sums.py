"""Per-source sums. In: right or wrong per question row; out: right answers and questions per (source, task)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.scoring.aggregates import aggregate_means
from evaluator.scoring.index import KeyIndex
from evaluator.statistics.bootstrap import bootstrap_sums


@dataclass(frozen=True, kw_only=True)
class SourceSums:
    """(G, T) right answers (sums of marks, where marks are fractions) and questions asked."""

    correct: NDArray[np.float64]
    count: NDArray[np.float64]


def mark(index: KeyIndex, chosen: NDArray[np.float64]) -> NDArray[np.float32]:
    """(n,) 1 right, 0 wrong, NaN not asked. chosen: (n,) the option, −1 = none (never right), NaN = not asked."""
    right = np.where((chosen == index.answer) & (chosen >= 0), 1.0, 0.0)
    return np.where(np.isnan(chosen), np.nan, right).astype(np.float32)


def source_sums(index: KeyIndex, correct: NDArray[np.float32], rows: NDArray[np.bool_]) -> SourceSums:
    """Sum `correct` (n,) over the `rows` (n,) that were asked. A source or task without a row has zeros."""
    asked = rows & ~np.isnan(correct)
    n_tasks = len(index.tasks)
    place = index.source[asked].astype(np.int64) * n_tasks + index.task[asked]
    shape, size = (index.n_sources, n_tasks), index.n_sources * n_tasks
    return SourceSums(
        correct=np.bincount(place, weights=correct[asked], minlength=size).astype(np.float64).reshape(shape),
        count=np.bincount(place, minlength=size).reshape(shape).astype(np.float64),
    )


def replicates(index: KeyIndex, sums: SourceSums) -> NDArray[np.float64]:
    """(B, 6 + T) bootstrap replicates: the aggregates in the order of Aggregate, then the tasks' accuracies."""
    n_tasks = len(index.tasks)
    drawn = bootstrap_sums(np.hstack([sums.correct, sums.count]), index.stratum, index.seed)
    correct, count = drawn[:, :n_tasks], drawn[:, n_tasks:]
    means = aggregate_means(index, correct, count, sums.count.sum(axis=0) > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.hstack([means, correct / count])
