"""One ranked view of a split. In: the key index and each entry's marks; out: scores, intervals, ranks, cells.

Ranks come from replicates drawn with the same weights for all entries, so any two are compared pairwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.scoring.aggregates import Aggregate, aggregate_means, covered, votes
from evaluator.scoring.index import Group, KeyIndex
from evaluator.scoring.sums import SourceSums, source_sums
from evaluator.statistics.bootstrap import REPLICATES, percentile_interval, source_weights
from evaluator.statistics.ranks import Ranks, rank
from evaluator.statistics.wilson import FEW_SOURCES, Estimate, clustered_wilson

AGGREGATE_BOARDS = {
    "overall": Aggregate.MACRO, "coarse": Aggregate.COARSE, "fine": Aggregate.FINE, "pooled": Aggregate.POOLED,
    "pooled-coarse": Aggregate.POOLED_COARSE, "pooled-fine": Aggregate.POOLED_FINE,
}  # fmt: skip
NOTHING = Estimate(estimate=None, low=None, high=None, n_questions=0, n_sources=0)


@dataclass(frozen=True, kw_only=True)
class BoardEntry:
    """One entry's marks: `correct` (n,) of its report, its headline variant, and the report's replicates of it."""

    correct: NDArray[np.float32]
    variant: int | None
    ranked: bool  # False for baselines, which stand beside the ranks
    replicates: NDArray[np.float32] | None = None  # (B, 6 + T); spares drawing again on boards without a facet


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
    index: KeyIndex, board: str, entries: Sequence[BoardEntry], facets: dict[str, tuple[str, ...]], *, hidden: bool
) -> BoardResult:
    """Compute `board` (an aggregate's or a task's slug) over the items that have the facets' values.

    Under a facet filter the overall board's score is fine macro, or coarse macro where no fine task has items there.
    Raises KeyError for an unknown board or facet.
    """
    rows = index.rows_in(facets)
    sums = [source_sums(index, entry.correct, rows & index.rows_of(entry.variant)) for entry in entries]
    asked = _most_asked(index, rows, entries)
    metric, inside = _board_tasks(index, board, asked.sum(axis=0) > 0, narrowed=bool(facets))
    n_questions, present = int(asked[:, inside].sum()), asked[:, inside].sum(axis=1) > 0
    n_sources = int(present.sum())
    tasks = tuple(task.slug for task, kept in zip(index.tasks, inside, strict=True) if kept)
    if hidden and facets and n_sources < FEW_SOURCES:
        hollow = Standing(score=NOTHING, beside=None, cells=(NOTHING,) * len(tasks), missing=())
        return BoardResult(
            metric=metric, tasks=tasks, standings=(hollow,) * len(entries), resolvable_difference=None,
            n_questions=n_questions, n_sources=n_sources, withheld=True,
        )  # fmt: skip
    drawn = _replicates(index, entries, sums, metric, inside, stored=not facets)
    standings = [
        _standing(index, entry_sums, metric, inside, column, beside=bool(facets) and metric is Aggregate.FINE)
        for entry_sums, column in zip(sums, drawn, strict=True)
    ]
    ranks, ranked = _ranks(entries, standings, drawn)
    for place, i in enumerate(ranked):
        standings[i] = _with_rank(standings[i], ranks, place)
    return BoardResult(
        metric=metric, tasks=tasks, standings=tuple(standings), resolvable_difference=ranks.resolvable,
        n_questions=n_questions, n_sources=n_sources, withheld=False,
    )  # fmt: skip


def _board_tasks(
    index: KeyIndex, board: str, present: NDArray[np.bool_], *, narrowed: bool
) -> tuple[Aggregate | None, NDArray[np.bool_]]:
    """The board's metric and the (T,) mask of the tasks it shows."""
    if board not in AGGREGATE_BOARDS:
        inside = np.array([task.slug == board for task in index.tasks], dtype=bool)
        if not inside.any():
            raise KeyError(board)
        return None, inside
    metric = AGGREGATE_BOARDS[board]
    shown = covered(index, metric) & present
    if narrowed and metric is Aggregate.MACRO:
        fine = shown & covered(index, Aggregate.FINE)
        metric = Aggregate.FINE if fine.any() else Aggregate.COARSE
    return metric, shown


def _most_asked(index: KeyIndex, rows: NDArray[np.bool_], entries: Sequence[BoardEntry]) -> NDArray[np.float64]:
    """(G, T) the most questions that any entry's headline variant asks: the size that the board states."""
    everything = np.zeros(len(index.task), dtype=np.float32)
    variants = {entry.variant for entry in entries} or {None}
    counts = [source_sums(index, everything, rows & index.rows_of(variant)).count for variant in variants]
    return np.maximum.reduce(counts)


def _standing(
    index: KeyIndex, sums: SourceSums, metric: Aggregate | None, inside: NDArray[np.bool_],
    drawn: NDArray[np.float64] | None, *, beside: bool,
) -> Standing:  # fmt: skip
    codes = np.flatnonzero(inside)
    cells = tuple(clustered_wilson(sums.correct[:, [code]], sums.count[:, [code]]) for code in codes)
    scored = inside if metric is None else inside & covered(index, metric)
    missing = tuple(
        index.tasks[code].slug for code, cell in zip(codes, cells, strict=True) if scored[code] and not cell.n_questions
    )
    coarse = np.array([task.group is Group.COARSE for task in index.tasks], dtype=bool)
    return Standing(
        score=cells[0] if metric is None else _aggregate(index, sums, metric, drawn),
        beside=_mean_of_tasks(index, sums, coarse) if beside else None,
        cells=cells,
        missing=missing,
    )


def _aggregate(index: KeyIndex, sums: SourceSums, metric: Aggregate, drawn: NDArray[np.float64] | None) -> Estimate:
    """An aggregate with its bootstrap interval; without replicates (a baseline) it has no interval."""
    count = sums.count.sum(axis=0)
    mean = aggregate_means(index, sums.correct.sum(axis=0), count)[list(Aggregate).index(metric)]
    if np.isnan(mean):
        return NOTHING
    low, high = percentile_interval(drawn) if drawn is not None else (None, None)
    inside = covered(index, metric)
    return Estimate(
        estimate=float(mean), low=low, high=high, n_questions=int(count[inside].sum()),
        n_sources=int((sums.count[:, inside].sum(axis=1) > 0).sum()),
    )  # fmt: skip


def _mean_of_tasks(index: KeyIndex, sums: SourceSums, inside: NDArray[np.bool_]) -> Estimate:
    share = votes(index, sums.count.sum(axis=0) > 0)
    return clustered_wilson(sums.correct[:, inside], sums.count[:, inside], share[inside])


def _replicates(
    index: KeyIndex, entries: Sequence[BoardEntry], sums: list[SourceSums], metric: Aggregate | None,
    inside: NDArray[np.bool_], *, stored: bool,
) -> list[NDArray[np.float64] | None]:  # fmt: skip
    """(B,) replicates of the board's score per ranked entry, None for the others: stored ones, or drawn now."""
    column = len(Aggregate) + int(np.flatnonzero(inside)[0]) if metric is None else list(Aggregate).index(metric)
    found: list[NDArray[np.float64] | None] = [None] * len(entries)
    to_draw = []
    for i, entry in enumerate(entries):
        if entry.ranked and stored and entry.replicates is not None:
            found[i] = entry.replicates[:, column].astype(np.float64)
        elif entry.ranked:
            to_draw.append(i)
    if to_draw:
        for i, drawn in zip(to_draw, _draw(index, [sums[i] for i in to_draw], metric, inside), strict=True):
            found[i] = drawn
    return found


def _draw(
    index: KeyIndex, sums: list[SourceSums], metric: Aggregate | None, inside: NDArray[np.bool_]
) -> list[NDArray[np.float64]]:
    """(B,) replicates of the score per entry. Weights are drawn for all sources, so that they stay the shared ones,
    and kept as float32, exact for counts; only the sources with questions enter the products."""
    scored = inside if metric is None else inside & covered(index, metric)
    present = np.any([s.count[:, scored].any(axis=1) for s in sums], axis=0)
    weights = np.empty((REPLICATES, int(present.sum())), dtype=np.float32)
    begin = 0
    for chunk in source_weights(index.stratum, index.seed):
        weights[begin : begin + len(chunk)] = chunk[:, present]
        begin += len(chunk)
    drawn = []
    for s in sums:
        correct, count = np.zeros((REPLICATES, len(scored))), np.zeros((REPLICATES, len(scored)))
        correct[:, scored] = weights @ s.correct[np.ix_(present, scored)].astype(np.float32)
        count[:, scored] = weights @ s.count[np.ix_(present, scored)].astype(np.float32)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn.append(
                correct[:, scored][:, 0] / count[:, scored][:, 0]
                if metric is None
                else aggregate_means(index, correct, count)[:, list(Aggregate).index(metric)]
            )
    return drawn


def _ranks(
    entries: Sequence[BoardEntry], standings: list[Standing], drawn: list[NDArray[np.float64] | None]
) -> tuple[Ranks, list[int]]:
    """Ranks over the entries that compete and have every task, and their positions in `entries`."""
    ranked = [
        i for i, (entry, standing) in enumerate(zip(entries, standings, strict=True))
        if entry.ranked and not standing.missing and standing.score.estimate is not None
    ]  # fmt: skip
    scores = np.array([standings[i].score.estimate for i in ranked], dtype=np.float64)
    columns = [drawn[i] for i in ranked]
    matrix = np.stack([c for c in columns if c is not None], axis=1) if columns else np.empty((REPLICATES, 0))
    # A replicate that drew no question of the task has no score: it says nothing of the differences either.
    matrix = np.where(np.isnan(matrix), scores, matrix)
    return rank(scores, matrix), ranked


def _with_rank(standing: Standing, ranks: Ranks, place: int) -> Standing:
    return Standing(
        score=standing.score, beside=standing.beside, cells=standing.cells, missing=standing.missing,
        rank_low=ranks.rank_low[place], rank_high=ranks.rank_high[place], group=ranks.group[place],
    )  # fmt: skip
