"""Cells of documents that compare two models. In: figures whose first two models are base and tuned; out: numbers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator.analyses.paired import Figure, paired_intervals, replicates, source_differences
from evaluator.scoring.index import Group, KeyIndex
from evaluator.statistics.paired import holm, permutation_p, swapped_sums
from evaluator.statistics.wilson import FEW_SOURCES

BASE, TUNED = 0, 1  # places of the two models in every column
PAIR = np.array([[BASE, TUNED]])
NUMBERS = ("base", "tuned", "p", "p_holm", "lost", "gained")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One figure of both models: accuracies, the ends of the difference's interval, its permutation p."""

    figure: Figure
    base: float
    tuned: float
    low: float
    high: float
    p: float
    n_sources: int

    @property
    def delta(self) -> dict[str, float | None]:
        """Tuned minus base with its interval."""
        return {"estimate": self.tuned - self.base, "low": self.low, "high": self.high}


def measure(index: KeyIndex, figures: Sequence[Figure]) -> list[Measured]:
    """Measure each figure. Draws and swaps of sources are shared by all of them."""
    if not figures:
        return []
    drawn = replicates(index, figures)
    differences = np.stack([source_differences(figure, index.n_sources, BASE, TUNED) for figure in figures], axis=1)
    p = permutation_p(differences.sum(axis=0), swapped_sums(differences, index.seed))
    found = []
    for f, figure in enumerate(figures):
        low, high = paired_intervals(figure, PAIR, drawn[f])
        base, tuned = figure.accuracy[[BASE, TUNED]].tolist()
        found.append(Measured(
            figure=figure, base=base, tuned=tuned, low=float(low[0]), high=float(high[0]), p=float(p[f]),
            n_sources=len(figure.sources),
        ))  # fmt: skip
    return found


def cell(index: KeyIndex, measured: Measured, *, guarded: bool) -> dict[str, Any]:
    """The cell of a task or of a facet's mean, `p_holm` still open. guarded: fewer than ten sources show n alone."""
    figure = measured.figure
    lost, gained = flips(index, figure)
    too_few = measured.n_sources < FEW_SOURCES
    shown = {
        "base": measured.base, "tuned": measured.tuned, "delta": measured.delta, "p": measured.p, "p_holm": None,
        "n_questions": figure.n_questions, "n_sources": measured.n_sources, "too_few": too_few, "lost": lost,
        "gained": gained, "withheld": guarded and too_few,
    }  # fmt: skip
    if shown["withheld"]:
        shown |= dict.fromkeys(NUMBERS) | {"delta": {"estimate": None, "low": None, "high": None}}
    return shown


def flips(index: KeyIndex, figure: Figure) -> tuple[int | None, int | None]:
    """Questions that base had right and tuned wrong, and the other way round; None where marks are fractions."""
    if any(index.tasks[column.code].group is Group.LOCALISATION for column in figure.columns):
        return None, None
    changes = [column.marks[TUNED] - column.marks[BASE] for column in figure.columns]
    return sum(int((change < 0).sum()) for change in changes), sum(int((change > 0).sum()) for change in changes)


def mean(measured: Measured | None) -> dict[str, Any]:
    """The JSON of a mean over tasks; all None where no task was averaged."""
    if measured is None:
        nothing = {"estimate": None, "low": None, "high": None}
        return {"base": None, "tuned": None, "delta": nothing, "p": None, "n_tasks": 0, "n_sources": 0}
    return {
        "base": measured.base, "tuned": measured.tuned, "delta": measured.delta, "p": measured.p,
        "n_tasks": len(measured.figure.columns), "n_sources": measured.n_sources,
    }  # fmt: skip


def adjust(cells: Iterable[dict[str, Any] | None]) -> None:
    """Fill `p_holm` of one family of cells; those that show no p are not of it."""
    family = [shown for shown in cells if shown is not None and shown["p"] is not None]
    for shown, adjusted in zip(family, holm(np.array([shown["p"] for shown in family])).tolist(), strict=True):
        shown["p_holm"] = adjusted
