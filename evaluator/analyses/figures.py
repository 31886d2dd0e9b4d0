"""Which means an analysis looks at. In: columns of tasks; out: figures as boards and reports define them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.analyses.paired import Column, Figure, columns_of, mean_figure, task_figure
from evaluator.scoring.aggregates import Aggregate
from evaluator.scoring.index import Group, KeyIndex
from evaluator.scoring.tally import TaskTally
from evaluator.statistics.wilson import FEW_SOURCES

NO_TASK = -1  # the code of a column that pools several tasks
PREFERRED: tuple[int | None, ...] = (1, None, 0)  # wordings as boards rank by them: captions 1, else the question form


def wordings(index: KeyIndex, rows: NDArray[np.bool_]) -> list[int | None]:
    """The variants in which `rows` (n,) hold a question of a core task, the preferred one first."""
    core = index.core_rows() & rows
    return [variant for variant in PREFERRED if (core & index.rows_of(variant)).any()]


@dataclass(frozen=True, kw_only=True)
class FacetFigures:
    """The means of the fine and of the coarse tasks on the items of one facet value, where there are any."""

    facet: str
    value: str
    groups: Mapping[Group, Figure]


def facet_figures(index: KeyIndex, marks: NDArray[np.float32], variant: int | None) -> Iterator[FacetFigures]:
    """Every value of every facet, as in a report. marks: (N, n), no NaN."""
    core = index.core_rows()
    for name, facet in index.facets.items():
        for code, value in enumerate(facet.values):
            columns = columns_of(index, core & (facet.code == code)[index.item], marks, variant)
            means = {
                group: mean_figure(index, [c for c in columns.values() if index.tasks[c.code].group is group])
                for group in (Group.FINE, Group.COARSE)
            }
            yield FacetFigures(facet=name, value=value, groups={group: mean for group, mean in means.items() if mean})


def averaged_columns(index: KeyIndex, columns: Mapping[int, Column]) -> list[Column]:
    """Those that count in the mean of a side of the target: of core tasks, with at least ten sources."""
    return [
        column for code, column in columns.items()
        if index.tasks[code].group.is_core and column.n_sources >= FEW_SOURCES
    ]  # fmt: skip


def aggregate_figures(index: KeyIndex, columns: Mapping[int, Column]) -> dict[Aggregate, Figure]:
    """The aggregates that have a task among `columns`, as boards define them."""
    found = {}
    for aggregate in Aggregate:
        own = [column for code, column in columns.items() if aggregate.covers(index.tasks[code])]
        figure = mean_figure(index, own)
        if figure is not None:
            found[aggregate] = task_figure(_pooled(own)) if aggregate.is_pooled else figure
    return found


def _pooled(columns: Sequence[Column]) -> Column:
    """One column of all questions of `columns`."""
    source = np.concatenate([np.repeat(c.tally.sources, c.tally.count[0].astype(np.int64)) for c in columns])
    order = np.argsort(source, kind="stable")
    marks = np.concatenate([column.marks for column in columns], axis=1)[:, order]
    sources, starts, count = np.unique(source[order], return_index=True, return_counts=True)
    correct = np.add.reduceat(marks, starts, axis=1, dtype=np.float64)
    tally = TaskTally(
        sources=sources, correct=correct.astype(np.float32), count=count[None].astype(np.float32),
        pattern=np.zeros(len(marks), dtype=np.int64),
    )  # fmt: skip
    return Column(code=NO_TASK, marks=marks, starts=starts, tally=tally)
