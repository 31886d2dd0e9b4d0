"""Sums of many entries at once. In: the marks of entries; out: per task, right answers and questions per source.

Only the sources that a task asks about are held, so that 500 entries × 30 tasks fit into memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluator.scoring.index import KeyIndex
from evaluator.statistics.wilson import Estimate, clustered_wilson


@dataclass(frozen=True, kw_only=True)
class BoardEntry:
    """One entry's marks: `correct` (n,) of its report, the variant that ranks its core tasks (the others are ranked by
    the question form), and the report's replicates of it."""

    correct: NDArray[np.float32]
    variant: int | None
    ranked: bool  # False for baselines, which stand beside the ranks
    replicates: NDArray[np.float32] | None = None  # (B, 6 + T); spares drawing again on boards without a facet


@dataclass(frozen=True, kw_only=True)
class TaskTally:
    """One task's sums over the G sources that it asks about, of N entries.

    Entries that answered the same questions share one of the K rows of `count`; K is nearly always 1.
    """

    sources: NDArray[np.int64]  # (G,)
    # (N, G). float32 holds counts exactly; sums of fractions (chance, localisation) are off by at most 6e-8 of their
    # size, so a board's score may differ from the report's in the seventh decimal.
    correct: NDArray[np.float32]
    count: NDArray[np.float32]  # (K, G)
    pattern: NDArray[np.int64]  # (N,) the row of `count` that holds for each entry

    def totals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N,) right answers and (N,) questions."""
        return self.correct.sum(axis=1, dtype=np.float64), self.count.sum(axis=1, dtype=np.float64)[self.pattern]

    def of_entry(self, i: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(G,) right answers and (G,) questions of entry i."""
        return self.correct[i].astype(np.float64), self.count[self.pattern[i]].astype(np.float64)

    def of_entries(self, chosen: list[int]) -> "TaskTally":
        """The tally of these entries alone."""
        return replace(self, correct=self.correct[chosen], pattern=self.pattern[chosen])

    def interval(self, i: int) -> Estimate:
        """The accuracy of entry i with its clustered Wilson interval."""
        correct, count = self.of_entry(i)
        return clustered_wilson(correct[:, None], count[:, None])


def tally_task(index: KeyIndex, code: int, rows: NDArray[np.bool_], entries: Sequence[BoardEntry]) -> TaskTally:
    """Sum each entry's marks over the `rows` (n,) of task `code` that rank it."""
    inside = rows & (index.task == code)
    sources = np.unique(index.source[inside]).astype(np.int64)
    asked_by = {
        v: np.flatnonzero(inside & index.rows_of(index.headline(code, v))) for v in {entry.variant for entry in entries}
    }
    place_of = {v: np.searchsorted(sources, index.source[asked]) for v, asked in asked_by.items()}
    correct = np.zeros((len(entries), len(sources)), dtype=np.float32)
    pattern = np.zeros(len(entries), dtype=np.int64)
    patterns: dict[tuple[int | None, bytes], int] = {}
    count: list[NDArray[np.float32]] = []
    for i, entry in enumerate(entries):
        marks = entry.correct[asked_by[entry.variant]].astype(np.float64)
        answered = ~np.isnan(marks)
        place = place_of[entry.variant][answered]
        correct[i] = np.bincount(place, weights=marks[answered], minlength=len(sources))
        pattern[i] = patterns.setdefault((entry.variant, answered.tobytes()), len(count))
        if pattern[i] == len(count):
            count.append(np.bincount(place, minlength=len(sources)).astype(np.float32))
    return TaskTally(
        sources=sources, correct=correct, pattern=pattern,
        count=np.array(count, dtype=np.float32).reshape(len(count), len(sources)),
    )  # fmt: skip
