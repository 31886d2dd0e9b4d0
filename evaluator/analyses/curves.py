"""Accuracies as curves over α, with paired bands. In: marks at every α on one split; out: numbers per α.

Every α is one model of the same columns, so all of them come from the same draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.analyses.figures import aggregate_figures, averaged_columns, facet_figures, wordings
from evaluator.analyses.paired import (
    Column,
    Figure,
    columns_of,
    mean_figure,
    narrow,
    paired_intervals,
    replicates,
    task_figure,
)
from evaluator.analyses.target import Target, target_rows
from evaluator.errors import InputError
from evaluator.scoring.aggregates import Aggregate
from evaluator.scoring.index import KeyIndex
from evaluator.statistics.bootstrap import percentile_interval
from evaluator.statistics.wilson import FEW_SOURCES, clustered_wilson

MACRO, INSIDE, OUTSIDE = str(Aggregate.MACRO), "inside", "outside"
BASE = 0  # place of α = 0


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The columns of one split, whose models are the A values of α, and the means that are looked at.

    means: the aggregates by name, `inside` and `outside`, where they are measured. no_inside: why `inside` is not.
    """

    index: KeyIndex
    alphas: NDArray[np.float64]  # (A,) ascending from 0 to 1
    marks: NDArray[np.float32]  # (A, n)
    variant: int | None
    columns: Mapping[int, Column]  # by task code
    means: Mapping[str, Figure]
    no_inside: str | None


@dataclass(frozen=True, kw_only=True)
class Band:
    """One figure over α: its estimate with an interval, and its difference from the base with a paired one; (A,)."""

    figure: Figure
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    delta_low: NDArray[np.float64]
    delta_high: NDArray[np.float64]

    def estimate_at(self, place: int) -> dict[str, Any]:
        """The estimate at one α."""
        return _interval(self.figure.accuracy[place], self.low[place], self.high[place])

    def delta_at(self, place: int) -> dict[str, Any]:
        """What it is above the base at one α."""
        accuracy = self.figure.accuracy
        return _interval(accuracy[place] - accuracy[BASE], self.delta_low[place], self.delta_high[place])


def curves_of(
    index: KeyIndex, alphas: NDArray[np.float64], marks: NDArray[np.float32], target: Target | None, *, strict: bool
) -> Curves:
    """Prepare marks (A, n) of the same questions. strict: raise what `target_rows` raises, else there is no inside.

    Raises InputError (`nothing_answered`) where no core task was answered at every α.
    """
    answered = np.logical_and.reduce(~np.isnan(marks))
    variant = _wording(index, answered)
    rows = answered & index.headline_rows(variant)
    inside, no_inside = _inside(index, target, strict=strict)
    own, marks = narrow(index, rows), marks[:, rows]
    everything = np.ones(len(own.task), dtype=bool)
    columns = columns_of(own, everything, marks, variant)
    means = {str(aggregate): figure for aggregate, figure in aggregate_figures(own, columns).items()}
    sides = {OUTSIDE: everything} if inside is None else {INSIDE: inside[rows], OUTSIDE: ~inside[rows]}
    for side, within in sides.items():
        if figure := mean_figure(own, averaged_columns(own, columns_of(own, within, marks, variant))):
            means[side] = figure
    if inside is not None and INSIDE not in means:
        no_inside = f"On split {index.split} no task has {FEW_SOURCES} sources inside the target domain."
    return Curves(index=own, alphas=alphas, marks=marks, variant=variant, columns=columns, means=means,
                  no_inside=no_inside)  # fmt: skip


def _wording(index: KeyIndex, answered: NDArray[np.bool_]) -> int | None:
    if found := wordings(index, answered):
        return found[0]
    raise InputError.single(
        "nothing_answered", f"No coarse or fine task of split {index.split} was answered. Sweep a split that has some."
    )


def _inside(
    index: KeyIndex, target: Target | None, *, strict: bool
) -> tuple[NDArray[np.bool_] | None, str | None]:  # fmt: skip
    """The rows inside the target, or None and why."""
    if not target:
        return None, "No target domain was declared."
    try:
        return target_rows(index, target), None
    except InputError as error:
        if strict:
            raise
        return None, error.problems[0].message


def alpha_documents(curves: Curves, drawn: Mapping[str, NDArray[np.float64]], *, hidden: bool) -> list[dict[str, Any]]:
    """One document per α: tasks, facets, aggregates, inside and outside. drawn: of `mean_replicates`.

    hidden: a facet's mean of fewer than ten sources is withheld.
    """
    documents: list[dict[str, Any]] = [
        {"alpha": alpha, "tasks": [], "aggregates": {}, "facets": [], INSIDE: None, OUTSIDE: None}
        for alpha in curves.alphas.tolist()
    ]
    means = {name: _band(figure, drawn[name], clustered=False) for name, figure in curves.means.items()}
    tasks, facets = _task_bands(curves), _facet_bands(curves)
    for place, document in enumerate(documents):
        for code, band in tasks.items():
            task = curves.index.tasks[code]
            document["tasks"].append({
                "task": task.slug, "group": str(task.group), "accuracy": band.estimate_at(place),
                "delta": band.delta_at(place),
            })  # fmt: skip
        for row, groups in facets:
            shown = {group: band and _facet_cell(band, place, hidden=hidden) for group, band in groups.items()}
            document["facets"].append(row | shown)
        for name, band in means.items():
            cell = band.estimate_at(place) | {"delta": band.delta_at(place), "n_tasks": len(band.figure.columns)}
            if name in (INSIDE, OUTSIDE):
                document[name] = cell
            else:
                document["aggregates"][name] = cell
    return documents


def mean_replicates(curves: Curves) -> dict[str, NDArray[np.float64]]:
    """(A, B) replicates of every mean, by its name."""
    return dict(zip(curves.means, replicates(curves.index, list(curves.means.values())), strict=True))


def difference(
    curves: Curves, drawn: Mapping[str, NDArray[np.float64]], name: str, first: int, second: int
) -> dict[str, Any] | None:
    """What the mean `name` is at α number `second` above α number `first`; None where it is not measured."""
    figure = curves.means.get(name)
    if figure is None:
        return None
    accuracy = figure.accuracy
    low, high = _paired(figure, np.array([[first, second]]), drawn[name])
    return _interval(accuracy[second] - accuracy[first], low[0], high[0])


def estimates_at(curves: Curves, drawn: Mapping[str, NDArray[np.float64]], place: int) -> dict[str, dict[str, Any]]:
    """Every mean at one α with its bootstrap interval."""
    return {
        name: _interval(figure.accuracy[place], *percentile_interval(drawn[name][place]))
        for name, figure in curves.means.items()
    }


def _task_bands(curves: Curves) -> dict[int, Band]:
    figures = [task_figure(column) for column in curves.columns.values()]
    drawn = replicates(curves.index, figures)
    bands = (_band(figure, own, clustered=True) for figure, own in zip(figures, drawn, strict=True))
    return dict(zip(curves.columns, bands, strict=True))


def _facet_bands(curves: Curves) -> list[tuple[dict[str, str], dict[str, Band | None]]]:
    """The facet and value of every row, and the bands of its fine and its coarse mean."""
    found = list(facet_figures(curves.index, curves.marks, curves.variant))
    figures = [figure for row in found for figure in row.groups.values()]
    drawn = replicates(curves.index, figures) if figures else ()
    bands = (_band(figure, own, clustered=True) for figure, own in zip(figures, drawn, strict=True))
    rows = []
    for row in found:
        groups: dict[str, Band | None] = {"fine": None, "coarse": None}
        groups |= {str(group): next(bands) for group in row.groups}
        rows.append(({"facet": row.facet, "value": row.value}, groups))
    return rows


def _facet_cell(band: Band, place: int, *, hidden: bool) -> dict[str, Any]:
    n_sources = len(band.figure.sources)
    withheld = hidden and n_sources < FEW_SOURCES
    nothing: dict[str, Any] = dict.fromkeys(("estimate", "low", "high"))
    shown = nothing | {"delta": nothing} if withheld else band.estimate_at(place) | {"delta": band.delta_at(place)}
    return shown | {"n_questions": band.figure.n_questions, "n_sources": n_sources, "withheld": withheld}


def _band(figure: Figure, drawn: NDArray[np.float64], *, clustered: bool) -> Band:
    """clustered: the estimate's interval is Wilson's, as reports have it for tasks and facets; else the bootstrap's."""
    places = np.arange(len(drawn))
    ends = [_wilson(figure, place) if clustered else percentile_interval(drawn[place]) for place in places.tolist()]
    delta_low, delta_high = _paired(figure, np.stack([np.full_like(places, BASE), places], axis=1), drawn)
    low, high = np.array(ends, dtype=np.float64).T
    return Band(figure=figure, low=low, high=high, delta_low=delta_low, delta_high=delta_high)


def _paired(
    figure: Figure, pairs: NDArray[np.int64], drawn: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Paired intervals; an α does not differ from itself, whatever the sample."""
    low, high = paired_intervals(figure, pairs, drawn)
    itself = pairs[:, 0] == pairs[:, 1]
    return np.where(itself, 0.0, low), np.where(itself, 0.0, high)


def _wilson(figure: Figure, place: int) -> tuple[float | None, float | None]:
    sources = figure.sources
    correct, count = np.zeros((2, len(sources), len(figure.columns)))
    for c, column in enumerate(figure.columns):
        own = np.searchsorted(sources, column.tally.sources)
        correct[own, c], count[own, c] = column.tally.of_entry(place)
    found = clustered_wilson(correct, count, figure.votes)
    return found.low, found.high


def _interval(estimate: float, low: float, high: float) -> dict[str, Any]:
    return {"estimate": float(estimate), "low": float(low), "high": float(high)}
