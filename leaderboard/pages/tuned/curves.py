"""Single tasks and facet values over α, one looked at by choice. In: an interpolation document; out: choices, figure,
table. Nothing is asked of the server for another choice: the figure holds the numbers of all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from evaluator.release.schema import DatasetInfo
from evaluator.release.tasks import task_title
from evaluator.scoring.index import Group
from leaderboard.boards.names import FACET_TITLES
from leaderboard.pages import figures
from leaderboard.pages.figures import Json

TASK = figures.Series(name="task", key="task", colour="--series-all", dash="solid", symbol="diamond")
SERIES = (TASK, figures.FINE, figures.COARSE)
GROUPS = tuple(map(str, Group))  # in this order
GRID = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the table, beside the chosen α
DECIMALS = 1  # of a percent: a pixel or so of the figure


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measure at every α of the document: {estimate, low, high, delta}, fractions; a withheld one has none."""

    series: figures.Series
    cells: list[Json]

    @property
    def is_measured(self) -> bool:
        """False where a hidden split withholds it."""
        return all(cell["estimate"] is not None for cell in self.cells)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A task, or a facet value with its fine and its coarse tasks."""

    key: str
    title: str
    group: str  # its heading in the list
    lines: list[Line]

    @property
    def drawn(self) -> list[Line]:
        """The lines that may be shown."""
        return [line for line in self.lines if line.is_measured]


def choices_of(document: Json, datasets: dict[str, DatasetInfo]) -> list[Choice]:
    """Tasks, coarse before fine, then facet values under their facets. `datasets`: the release's."""
    return [*_tasks(document["alphas"], datasets), *_facets(document["alphas"])]


def shown(document: Json, datasets: dict[str, DatasetInfo]) -> dict[str, Any]:
    """The list to choose from, the figure, and the table of every choice at a few α."""
    choices = choices_of(document, datasets)
    offered = [choice for choice in choices if choice.drawn]
    first = liveliest(offered)
    selected = document["selected_alpha"]
    alphas = [point["alpha"] for point in document["alphas"]]
    chosen = alphas.index(selected) if selected in alphas else None
    places = [place for place, alpha in enumerate(alphas) if alpha in (*GRID, selected)]
    return {
        "options": [
            {
                "name": group,
                "options": [{"key": each.key, "title": each.title, "chosen": each is first} for each in own],
            }
            for group, own in _grouped(offered)
        ],
        "figure": _figure(document, offered),
        "alphas": [{"alpha": alphas[place], "chosen": place == chosen} for place in places],
        "groups": [{"name": group, "rows": [row for each in own for row in _rows(each, places, chosen)]}
                   for group, own in _grouped(choices)],
    }  # fmt: skip


def liveliest(choices: Sequence[Choice]) -> Choice | None:
    """The task whose accuracy changes most over α; of equals the first."""
    tasks = [choice for choice in choices if choice.lines[0].series is TASK]
    return max(tasks, key=lambda choice: _range(choice.lines[0]), default=None)


def _range(line: Line) -> float:
    values = [float(cell["estimate"]) for cell in line.cells]
    return max(values) - min(values)


def _tasks(points: list[Json], datasets: dict[str, DatasetInfo]) -> Iterator[Choice]:
    listed = sorted(enumerate(points[0]["tasks"]), key=lambda each: GROUPS.index(each[1]["group"]))
    for place, task in listed:
        own = [point["tasks"][place] for point in points]
        cells = [{**each["accuracy"], "delta": each["delta"]} for each in own]
        yield Choice(key=task["task"], title=task_title(task["task"], datasets), group=f"{task['group']} tasks",
                     lines=[Line(series=TASK, cells=cells)])  # fmt: skip


def _facets(points: list[Json]) -> Iterator[Choice]:
    for place, row in enumerate(points[0]["facets"]):
        lines = [Line(series=series, cells=[point["facets"][place][series.key] for point in points])
                 for series in (figures.FINE, figures.COARSE) if row[series.key] is not None]  # fmt: skip
        if lines:
            yield Choice(key=f"{row['facet']}={row['value']}", title=row["value"], group=FACET_TITLES[row["facet"]],
                         lines=lines)  # fmt: skip


def _grouped(choices: Sequence[Choice]) -> list[tuple[str, list[Choice]]]:
    return [(group, list(own)) for group, own in groupby(choices, key=lambda choice: choice.group)]


def _figure(document: Json, choices: Sequence[Choice]) -> Json:
    """How each series is drawn, and for each choice the y of its traces: figures.js puts the two together."""
    alphas = [point["alpha"] for point in document["alphas"]]
    return {
        "series": {series.key: _traces(series, alphas) for series in SERIES},
        "choices": {choice.key: {line.series.key: _heights(line) for line in choice.drawn} for choice in choices},
        "layout": figures.alpha_layout(document),
    }  # fmt: skip


def _traces(series: figures.Series, alphas: list[float]) -> list[Json]:
    """The base's level, the band and the line; a task alone needs no legend, its name stands above."""
    *band, line = figures.band_and_line(series, alphas)
    return [_level(series), *band, line | {"showlegend": series is not TASK}]


def _level(series: figures.Series) -> Json:
    """The base's own accuracy as a level line: what the band leaves where a difference is significant."""
    line = {"color": f"{series.colour}/0.55", "width": 1, "dash": "dot"}
    return {"x": [0, 1], "mode": "lines", "line": line, "showlegend": False, "hoverinfo": "skip"}


def _heights(line: Line) -> list[list[float]]:
    """y of the level, the band's two sides and the line, in percent."""
    base = line.cells[0]["estimate"]
    low, high, own = (_short(values) for values in figures.band_heights(line.cells, base))
    return [[own[0], own[0]], low, high, own]


def _short(values: list[float]) -> list[float]:
    """As drawn: no accuracy lies beyond 0 or 100 %."""
    return [round(min(max(value, 0.0), 100.0), DECIMALS) for value in values]


def _rows(choice: Choice, places: Sequence[int], chosen: int | None) -> list[dict[str, Any]]:
    """The rows of the table: one per line of the choice."""
    return [
        {
            "title": choice.title, "of": "" if line.series is TASK else line.series.name,
            "withheld": not line.is_measured, "n_questions": line.cells[0].get("n_questions"),
            "cells": [{**line.cells[place], "is_base": place == 0, "chosen": place == chosen} for place in places],
        }
        for line in choice.lines
    ]  # fmt: skip
