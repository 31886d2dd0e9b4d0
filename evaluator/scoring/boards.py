"""One ranked view of a split. In: the key index and each entry's marks; out: scores, intervals, ranks, cells.

Ranks come from replicates drawn with the same weights for all entries, so any two are compared pairwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluator.scoring.aggregates import Aggregate, aggregate_mean, covered
from evaluator.scoring.index import Group, KeyIndex
from evaluator.scoring.tally import BoardEntry, TaskTally, tally_task
from evaluator.statistics.bootstrap import REPLICATES, percentile_interval, source_weights
from evaluator.statistics.ranks import Ranks, rank
from evaluator.statistics.wilson import FEW_SOURCES, Estimate, clustered_wilson

__all__ = ["AGGREGATE_BOARDS", "BoardEntry", "BoardResult", "Standing", "compute_board"]

AGGREGATE_BOARDS = {
    "overall": Aggregate.MACRO, "coarse": Aggregate.COARSE, "fine": Aggregate.FINE, "pooled": Aggregate.POOLED,
    "pooled-coarse": Aggregate.POOLED_COARSE, "pooled-fine": Aggregate.POOLED_FINE,
}  # fmt: skip
Tallies = dict[int, TaskTally]  # by task code, in the order of the board's columns


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One entry on a board. Unranked (no rank) when a baseline or when it lacks one of the board's tasks."""

    score: Estimate
    beside: Estimate | None  # coarse macro, where a facet makes fine macro the score
    cells: tuple[Estimate, ...]  # per task of the board
    missing: tuple[str, ...]  # tasks of the board that the entry has no answer for
    rank_low: int | None = None
    rank_high: int | None = None
    group: int | None = None


@dataclass(frozen=True, kw_only=True)
class BoardResult:
    """A board: its tasks' slugs, one Standing per entry in the order given, and what it can resolve."""

    metric: Aggregate | None  # None on the board of one task: accuracy
    tasks: tuple[str, ...]
    standings: tuple[Standing, ...]
    resolvable_difference: float | None
    n_questions: int
    n_sources: int
    withheld: bool  # a hidden split's intersection of fewer than ten sources shows n and no score


def compute_board(
    index: KeyIndex, board: str, entries: Sequence[BoardEntry], facets: Mapping[str, tuple[str, ...]], *, hidden: bool
) -> BoardResult:
    """Compute `board` (an aggregate's or a task's slug) over the items that have the facets' values.

    Under a facet filter the overall board's score is fine macro, or coarse macro where no fine task has items there;
    on a hidden split every number of fewer than ten sources is then withheld, in cells as in scores.
    Raises KeyError for an unknown board or facet.
    """
    inside = index.rows_in(facets)
    rows = _asked_rows(index, inside, entries)
    metric, codes = _board_tasks(index, board, rows, narrowed=bool(facets))
    on_board = rows & np.isin(index.task, codes)
    n_sources = len(np.unique(index.source[on_board]))
    tallies = {code: tally_task(index, code, inside, entries) for code in codes}
    scored = {code: tally for code, tally in tallies.items() if metric is None or metric.covers(index.tasks[code])}
    drawn = _replicates(index, entries, scored, metric, stored=not facets)
    standings = _standings(index, entries, tallies, metric, drawn, beside=bool(facets) and metric is Aggregate.FINE)
    if hidden and facets:
        standings = [_guarded(standing) for standing in standings]
    ranks, ranked = _ranks(entries, standings, drawn)
    for place, i in enumerate(ranked):
        standings[i] = replace(
            standings[i], rank_low=ranks.rank_low[place], rank_high=ranks.rank_high[place], group=ranks.group[place]
        )
    return BoardResult(
        metric=metric, tasks=tuple(index.tasks[code].slug for code in codes), standings=tuple(standings),
        resolvable_difference=ranks.resolvable, n_questions=int(on_board.sum()), n_sources=n_sources,
        withheld=hidden and bool(facets) and n_sources < FEW_SOURCES,
    )  # fmt: skip


def _asked_rows(index: KeyIndex, rows: NDArray[np.bool_], entries: Sequence[BoardEntry]) -> NDArray[np.bool_]:
    """Those of `rows` that make up the board's size: of the headline variant that asks most of them."""
    variants = sorted({entry.variant for entry in entries} or {None}, key=str)
    return max((rows & index.headline_rows(variant) for variant in variants), key=lambda asked: int(asked.sum()))


def _board_tasks(
    index: KeyIndex, board: str, rows: NDArray[np.bool_], *, narrowed: bool
) -> tuple[Aggregate | None, list[int]]:
    """The board's metric and the codes of the tasks it shows: its own, or those with a question among `rows`."""
    if board not in AGGREGATE_BOARDS:
        return None, [{task.slug: code for code, task in enumerate(index.tasks)}[board]]
    metric = AGGREGATE_BOARDS[board]
    shown = covered(index, metric) & (np.bincount(index.task[rows], minlength=len(index.tasks)) > 0)
    if narrowed and metric is Aggregate.MACRO:
        metric = Aggregate.FINE if (shown & covered(index, Aggregate.FINE)).any() else Aggregate.COARSE
    return metric, np.flatnonzero(shown).tolist()


def _standings(
    index: KeyIndex, entries: Sequence[BoardEntry], tallies: Tallies, metric: Aggregate | None,
    drawn: list[NDArray[np.float64] | None], *, beside: bool,
) -> list[Standing]:  # fmt: skip
    correct, count = _totals(index, len(entries), tallies)
    scored = {code: tally for code, tally in tallies.items() if metric is None or metric.covers(index.tasks[code])}
    means = None if metric is None else aggregate_mean(index, metric, correct, count, count > 0)
    standings = []
    for i, column in enumerate(drawn):
        cells = tuple(tally.interval(i) for tally in tallies.values())
        standings.append(
            Standing(
                score=cells[0] if means is None else _aggregate(index, scored, i, means[i], column),
                beside=_coarse_mean(index, tallies, i) if beside else None,
                cells=cells,
                missing=tuple(index.tasks[code].slug for code in scored if not count[i, code]),
            )
        )
    return standings


def _totals(index: KeyIndex, n_entries: int, tallies: Tallies) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N, T) right answers and questions; zeros for tasks that the board does not show."""
    correct, count = np.zeros((2, n_entries, len(index.tasks)))
    for code, tally in tallies.items():
        correct[:, code], count[:, code] = tally.totals()
    return correct, count


def _aggregate(index: KeyIndex, tallies: Tallies, i: int, mean: float, drawn: NDArray[np.float64] | None) -> Estimate:
    """An aggregate with its bootstrap interval; without replicates (a baseline) it has no interval."""
    if np.isnan(mean):
        return Estimate(estimate=None, low=None, high=None, n_questions=0, n_sources=0)
    low, high = percentile_interval(drawn) if drawn is not None else (None, None)
    n_questions, asked = 0, np.zeros(index.n_sources, dtype=bool)
    for tally in tallies.values():
        _, count = tally.of_entry(i)
        n_questions += int(count.sum())
        asked[tally.sources[count > 0]] = True
    return Estimate(estimate=float(mean), low=low, high=high, n_questions=n_questions, n_sources=int(asked.sum()))


def _coarse_mean(index: KeyIndex, tallies: Tallies, i: int) -> Estimate:
    """The mean of the coarse tasks with the Wilson interval of a mean of tasks."""
    coarse = [code for code in tallies if index.tasks[code].group is Group.COARSE]
    correct, count = np.zeros((2, index.n_sources, len(coarse)))
    for column, code in enumerate(coarse):
        sources = tallies[code].sources
        correct[sources, column], count[sources, column] = tallies[code].of_entry(i)
    return clustered_wilson(correct, count)


def _guarded(standing: Standing) -> Standing:
    """The standing without the numbers of fewer than ten sources; their n stays."""
    return replace(
        standing, score=_withheld(standing.score), cells=tuple(_withheld(cell) for cell in standing.cells),
        beside=None if standing.beside is None else _withheld(standing.beside),
    )  # fmt: skip


def _withheld(estimate: Estimate) -> Estimate:
    return replace(estimate, estimate=None, low=None, high=None) if estimate.too_few else estimate


def _replicates(
    index: KeyIndex, entries: Sequence[BoardEntry], tallies: Tallies, metric: Aggregate | None, *, stored: bool
) -> list[NDArray[np.float64] | None]:
    """(B,) replicates of the board's score per ranked entry, None for the others: stored ones, or drawn now."""
    found: list[NDArray[np.float64] | None] = [None] * len(entries)
    to_draw = []
    for i, entry in enumerate(entries):
        if entry.ranked and stored and entry.replicates is not None:
            column = list(Aggregate).index(metric) if metric else len(Aggregate) + next(iter(tallies))
            found[i] = entry.replicates[:, column].astype(np.float64)
        elif entry.ranked:
            to_draw.append(i)
    if to_draw and tallies:
        for i, column in zip(to_draw, _draw(index, to_draw, tallies, metric), strict=True):
            found[i] = column
    return found


def _draw(index: KeyIndex, chosen: list[int], tallies: Tallies, metric: Aggregate | None) -> NDArray[np.float64]:
    """(chosen, B) replicates of the score, one product per task and chunk of draws.

    Weights are drawn for all sources of the split, so that they are the shared ones whatever the board shows.
    """
    of_chosen = {code: tally.of_entries(chosen) for code, tally in tallies.items()}
    present = _totals(index, len(chosen), of_chosen)[1] > 0
    drawn = []
    for weights in source_weights(index.stratum, index.seed):
        by_source = np.ascontiguousarray(weights.T, dtype=np.float32)
        correct, count = np.zeros((2, len(index.tasks), len(chosen), len(weights)))
        for code, tally in of_chosen.items():
            here = by_source[tally.sources]
            correct[code] = tally.correct @ here
            count[code] = (tally.count @ here)[tally.pattern]
        drawn.append(_scores(index, metric, next(iter(tallies)), correct, count, present))
    return np.concatenate(drawn, axis=1)


def _scores(
    index: KeyIndex, metric: Aggregate | None, code: int, correct: NDArray[np.float64], count: NDArray[np.float64],
    present: NDArray[np.bool_],
) -> NDArray[np.float64]:  # fmt: skip
    """(N, B) the aggregate, or the accuracy of task `code`, from sums (T, N, B); present: (N, T)."""
    if metric is None:
        with np.errstate(invalid="ignore", divide="ignore"):
            return correct[code] / count[code]
    return aggregate_mean(index, metric, np.moveaxis(correct, 0, -1), np.moveaxis(count, 0, -1), present[:, None, :])


def _ranks(
    entries: Sequence[BoardEntry], standings: list[Standing], drawn: list[NDArray[np.float64] | None]
) -> tuple[Ranks, list[int]]:
    """Ranks over the entries that compete and have every task, and their positions in `entries`."""
    ranked = [
        i for i, (entry, standing) in enumerate(zip(entries, standings, strict=True))
        if entry.ranked and not standing.missing and standing.score.estimate is not None
    ]  # fmt: skip
    scores = np.array([standings[i].score.estimate for i in ranked], dtype=np.float64)
    columns = [column for column in (drawn[i] for i in ranked) if column is not None]
    matrix = np.stack(columns, axis=1) if columns else np.empty((REPLICATES, 0))
    # A replicate that drew no question of the task has no score: it says nothing of the differences either.
    matrix = np.where(np.isnan(matrix), scores, matrix)
    return rank(scores, matrix), ranked
