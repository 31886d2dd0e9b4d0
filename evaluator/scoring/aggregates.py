"""From per-task sums to the headline numbers. In: right answers and questions per task; out: six means."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from evaluator.scoring.index import Group, KeyIndex, Task


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
        """Whether the task counts in this aggregate."""
        group = self.removeprefix("pooled_")
        return group not in tuple(Group) or group == task.group


def votes(index: KeyIndex, present: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(T,) the vote of each task that is `present` (T,): 1, or 1/k where k present tasks of one study share a vote."""
    share = present.astype(np.float64)
    place = {task.slug: i for i, task in enumerate(index.tasks)}
    for group in index.vote_groups:
        sharing = [place[slug] for slug in group if present[place[slug]]]
        share[sharing] /= max(len(sharing), 1)
    return share


def covered(index: KeyIndex, aggregate: Aggregate) -> NDArray[np.bool_]:
    """(T,) the tasks that count in `aggregate`."""
    return np.array([aggregate.covers(task) for task in index.tasks], dtype=bool)


def aggregate_means(index: KeyIndex, correct: NDArray[np.float64], count: NDArray[np.float64]) -> NDArray[np.float64]:
    """(…, 6) the aggregates, in the order of Aggregate, from sums per task (…, T); NaN where nothing was asked.

    Which tasks are present is read off the largest count along the leading axes, so that a replicate that drew no
    question of a task leaves it out of that replicate's mean only (tolerated: happens to tiny tasks alone).
    """
    present = count.reshape(-1, count.shape[-1]).max(axis=0) > 0
    share = votes(index, present)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = correct / count
        drawn = count > 0
        means = []
        for aggregate in Aggregate:
            inside = covered(index, aggregate)
            if aggregate.is_pooled:
                means.append(correct[..., inside].sum(axis=-1) / count[..., inside].sum(axis=-1))
            else:
                weight = np.where(drawn, share, 0.0)[..., inside]
                total = np.where(drawn, accuracy, 0.0)[..., inside] * weight
                means.append(total.sum(axis=-1) / weight.sum(axis=-1))
    return np.stack(means, axis=-1)
