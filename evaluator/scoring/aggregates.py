"""From per-task sums to the headline numbers. In: right answers and questions per task; out: six means."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from evaluator.scoring.index import KeyIndex, Task


class Aggregate(StrEnum):
    """macro = unweighted mean over coarse and fine tasks; coarse, fine = mean within the group; pooled* = Σ right / Σ
    questions (what the paper's Table 1 shows)."""

    MACRO = "macro"
    COARSE = "coarse"
    FINE = "fine"
    POOLED = "pooled"
    POOLED_COARSE = "pooled_coarse"
    POOLED_FINE = "pooled_fine"

    @property
    def is_pooled(self) -> bool:
        return self.startswith("pooled")

    def covers(self, task: Task) -> bool:
        """Whether the task counts in this aggregate. Cognition and localisation count in none."""
        if self in (Aggregate.MACRO, Aggregate.POOLED):
            return task.group.is_core
        return self.removeprefix("pooled_") == task.group


def votes(index: KeyIndex, present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(…, T) the vote of each task that is `present` (…, T): 1, or 1/k where k present tasks of one study share one."""
    share = present.astype(np.float64)
    place = {task.slug: i for i, task in enumerate(index.tasks)}
    for group in index.vote_groups:
        sharing = [place[slug] for slug in group]
        share[..., sharing] /= np.maximum(present[..., sharing].sum(axis=-1, keepdims=True), 1)
    return share


def covered(index: KeyIndex, aggregate: Aggregate) -> NDArray[np.bool_]:
    """(T,) the tasks that count in `aggregate`."""
    return np.array([aggregate.covers(task) for task in index.tasks], dtype=bool)


def aggregate_mean(
    index: KeyIndex, aggregate: Aggregate, correct: NDArray[np.float64], count: NDArray[np.float64],
    present: NDArray[np.bool_],
) -> NDArray[np.float64]:  # fmt: skip
    """(…) the aggregate from right answers and questions per task (…, T); NaN where nothing was asked.

    present: (…, T), the tasks that the entry has answered. A replicate that drew no question of one of them leaves it
    out of that replicate's mean (tolerated: happens to tiny tasks alone).
    """
    inside = covered(index, aggregate)
    correct, count = correct[..., inside], count[..., inside]
    with np.errstate(invalid="ignore", divide="ignore"):
        if aggregate.is_pooled:
            return correct.sum(axis=-1) / count.sum(axis=-1)
        drawn = count > 0
        weight = np.where(drawn, votes(index, present)[..., inside], 0.0)
        return np.where(drawn, correct / count * weight, 0.0).sum(axis=-1) / weight.sum(axis=-1)


def aggregate_means(
    index: KeyIndex, correct: NDArray[np.float64], count: NDArray[np.float64], present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(…, 6) every aggregate, in the order of Aggregate; see `aggregate_mean`."""
    return np.stack([aggregate_mean(index, a, correct, count, present) for a in Aggregate], axis=-1)
