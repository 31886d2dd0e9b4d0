"""Many models on the same questions. In: their marks; out: accuracies, shared-draw replicates and paired intervals.

A column is the rows of one task that all N models answered, a figure a mean of columns: a task's accuracy, a facet's
mean, a headline. Replicates of all figures come from the same draws of whole sources as boards have, so any two models
are compared pairwise. Costs one matrix product per column and chunk of draws, never replicates × questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluator.scoring.aggregates import votes
from evaluator.scoring.index import KeyIndex
from evaluator.scoring.tally import BoardEntry, TaskTally, tally_task
from evaluator.statistics.bootstrap import source_weights
from evaluator.statistics.paired import Flips, paired_ends

PAIRS_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class Column:
    """k rows of one task, which all N models answered, ordered by source, and their sums over G sources."""

    code: int  # of the task
    marks: NDArray[np.float32]  # (N, k)
    starts: NDArray[np.int64]  # (G,) where each source's rows begin
    tally: TaskTally

    @property
    def n_questions(self) -> int:
        return self.marks.shape[1]

    @property
    def n_sources(self) -> int:
        return len(self.starts)

    @property
    def count(self) -> NDArray[np.float64]:
        """(G,) questions per source."""
        return self.tally.count[0].astype(np.float64)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(N,)"""
        return self.tally.totals()[0] / self.n_questions


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A mean of the accuracies of some columns. votes: (len(columns),), their sum is 1."""

    columns: tuple[Column, ...]
    votes: NDArray[np.float64]

    @property
    def n_questions(self) -> int:
        return sum(column.n_questions for column in self.columns)

    @property
    def sources(self) -> NDArray[np.int64]:
        """(G,) the sources that stand behind it, in order."""
        return np.unique(np.concatenate([column.tally.sources for column in self.columns]))

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """(N,)"""
        return self.votes @ np.array([column.accuracy for column in self.columns])


def narrow(index: KeyIndex, rows: NDArray[np.bool_]) -> KeyIndex:
    """The index of these rows alone; tasks, items and sources keep their codes, and so their draws."""
    return replace(
        index, task=index.task[rows], variant=index.variant[rows], item=index.item[rows], source=index.source[rows],
        answer=index.answer[rows],
    )  # fmt: skip


def columns_of(
    index: KeyIndex, rows: NDArray[np.bool_], marks: NDArray[np.float32], variant: int | None
) -> dict[int, Column]:
    """The columns of the tasks that have some of `rows` (n,), by task code. marks: (N, n), no NaN among `rows`.

    variant: the wording that ranks core tasks; rows of others do not count.
    """
    rows = rows & index.headline_rows(variant)
    index, marks = narrow(index, rows), marks[:, rows]
    entries = [BoardEntry(correct=own, variant=variant, ranked=False) for own in marks]
    everything = np.ones(len(index.task), dtype=bool)
    found = {}
    for code in np.unique(index.task).tolist():
        tally = tally_task(index, code, everything, entries)
        own = np.flatnonzero(index.task == code)
        own = own[np.argsort(index.source[own], kind="stable")]
        starts = np.searchsorted(index.source[own], tally.sources)
        found[code] = Column(code=code, marks=marks[:, own], starts=starts, tally=tally)
    return found


def task_figure(column: Column) -> Figure:
    """The accuracy of one column."""
    return Figure(columns=(column,), votes=np.ones(1))


def mean_figure(index: KeyIndex, columns: Sequence[Column]) -> Figure | None:
    """The mean of columns of different tasks with the votes that boards give them; None of no column."""
    if not columns:
        return None
    codes = [column.code for column in columns]
    share = votes(index, np.isin(np.arange(len(index.tasks)), codes))[codes]
    return Figure(columns=tuple(columns), votes=share / share.sum())


def replicates(index: KeyIndex, figures: Sequence[Figure]) -> NDArray[np.float64]:
    """(F, N, B) bootstrap replicates of every figure of every model, from the draws that all entries share.

    A replicate that drew no question of a column leaves it out of that replicate's mean (as boards do); NaN where
    nothing of a figure was drawn.
    """
    columns = list({id(column): column for figure in figures for column in figure.columns}.values())
    place = {id(column): i for i, column in enumerate(columns)}
    share = np.zeros((len(figures), len(columns)))
    for f, figure in enumerate(figures):
        share[f, [place[id(column)] for column in figure.columns]] = figure.votes
    drawn = [_draw(columns, share, weights) for weights in source_weights(index.stratum, index.seed)]
    return np.concatenate(drawn, axis=2)


def _draw(columns: list[Column], share: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F, N, b) replicates of one chunk of draws, weights (b, sources). share: (F, C)."""
    by_source = np.ascontiguousarray(weights.T)
    n_models = len(columns[0].tally.correct)
    accuracy = np.zeros((len(columns), n_models, len(weights)))
    asked = np.zeros((len(columns), len(weights)))
    for c, column in enumerate(columns):
        here = by_source[column.tally.sources]
        asked[c] = column.count @ here
        accuracy[c] = column.tally.correct.astype(np.float64) @ here
    accuracy /= np.maximum(asked, 1.0)[:, None, :]
    with np.errstate(invalid="ignore"):
        mean = (share @ accuracy.reshape(len(columns), -1)).reshape(len(share), n_models, -1)
        return mean / (share @ (asked > 0))[:, None, :]


def paired_intervals(
    figure: Figure, pairs: NDArray[np.int64], drawn: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P,) low and (P,) high ends of the figure's 95 % interval of model `pairs[:, 1]` minus model `pairs[:, 0]`.

    pairs: (P, 2) places of models. drawn: (N, B), the figure's replicates.
    """
    low, high = np.empty((2, len(pairs)))
    n_sources = len(figure.sources)
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        first, second = pairs[part].T
        gained, lost = _flips(figure, first, second)
        low[part], high[part] = paired_ends(
            drawn[second] - drawn[first], gained, lost, figure.n_questions, n_sources
        )  # fmt: skip
    return low, high


def source_differences(figure: Figure, n_sources: int, first: int, second: int) -> NDArray[np.float64]:
    """(G,) what each source adds to the difference second − first of the figure; sums to it."""
    found = np.zeros(n_sources)
    for column, vote in zip(figure.columns, figure.votes, strict=True):
        correct = column.tally.correct.astype(np.float64)
        found[column.tally.sources] += vote * (correct[second] - correct[first]) / column.n_questions
    return found


def _flips(figure: Figure, first: NDArray[np.int64], second: NDArray[np.int64]) -> tuple[Flips, Flips]:
    """What each pair gained and lost. A fraction that grew counts as gained by as much as it grew."""
    sources = figure.sources
    shape = (2, len(first), len(sources))
    residual, differs, share = np.zeros(shape), np.zeros(shape, bool), np.zeros(shape[:2])
    for column, vote in zip(figure.columns, figure.votes, strict=True):
        place = np.searchsorted(sources, column.tally.sources)
        change = column.marks[second] - column.marks[first]
        for way, part in enumerate((np.maximum(change, 0), np.maximum(-change, 0))):
            sums = np.add.reduceat(part, column.starts, axis=1, dtype=np.float64)
            mean = sums.sum(axis=1) / column.n_questions
            residual[way][:, place] += vote * (sums - mean[:, None] * column.count) / column.n_questions
            differs[way][:, place] |= sums > 0
            share[way] += vote * mean
    scale = len(sources) / max(len(sources) - 1, 1)
    gained, lost = (
        Flips(
            share=share[way], variance=scale * (residual[way] ** 2).sum(axis=1) if len(sources) > 1 else 0 * share[way],
            n_differing=differs[way].sum(axis=1),
        )
        for way in range(2)
    )  # fmt: skip
    return gained, lost
