"""Speed of paired intervals of all pairs of models, side by side with scipy's paired bootstrap of one after the other.

`python -m tests.bench.bench_forgetting` prints the figure with its goal. Both resample whole sources, 2,000 times; that
they find the same interval is checked first. scipy is run on a few pairs and tasks and scaled up.
"""

from collections.abc import Sequence
from functools import partial
from itertools import combinations

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from evaluator.analyses.paired import (
    Column,
    Figure,
    columns_of,
    mean_figure,
    paired_intervals,
    replicates,
    source_differences,
    task_figure,
)
from evaluator.release.schema import Split
from evaluator.scoring.index import KeyIndex, build_index
from evaluator.statistics.bootstrap import REPLICATES
from tests.bench.table import Compared, seconds
from tests.builders.tables import make_tables

ITEMS, DATASETS, SOURCES = 16_667, 25, 5_000  # 100,002 questions, 30 tasks, as of the benchmark of scoring
MODELS = 50
GOAL = 100.0
SAMPLED_PAIRS = 2
SAME_WIDTH = 0.15  # of an interval: two bootstraps of 2,000 draws differ by a tenth of it at an end, now and then
SCIPY_BATCH = 50  # as many resamples of the mean's sources as fit into memory at once
Ends = tuple[float, float]


def main() -> None:
    index, marks = make_models()
    pairs = np.array(list(combinations(range(MODELS), 2)))
    columns = columns_of(index, np.ones(len(index.task), bool), marks, 1)
    figures = figures_of(index, columns)
    check_same(index, figures, pairs)
    ours, scipys = [], []
    for round in range(2):
        ours.append(seconds(partial(all_pairs, index, marks, pairs)))
        scipys.append(scipy_seconds(figures, index.n_sources, pairs[round :: len(pairs) // SAMPLED_PAIRS]))
    Compared(
        ours=[wall for wall, _ in ours], ours_cpu=[cpu for _, cpu in ours],
        loop=[wall for wall, _ in scipys], loop_cpu=[cpu for _, cpu in scipys],
    ).report(
        "P9", f"forgetting, all {len(pairs):,} pairs of {MODELS} models x {len(figures) - 1} tasks and their mean, "
        f"B = {REPLICATES:,}; scipy scaled up from {SAMPLED_PAIRS} pairs x 3 figures", GOAL,
    )  # fmt: skip


def make_models() -> tuple[KeyIndex, NDArray[np.float32]]:
    """The key and the marks (MODELS, n) of models right at 40 to 70 %, each half alike the first."""
    tables = make_tables(datasets=DATASETS, items=ITEMS, sources=SOURCES, variants=(1,))
    index = build_index(tables.info, Split.TEST, tables.questions, tables.key)
    rng = np.random.default_rng(0)
    n = len(index.task)
    first = rng.random(n)
    own = [np.where(rng.random(n) < 0.5, first, rng.random(n)) < share for share in np.linspace(0.4, 0.7, MODELS)]
    return index, np.array(own, dtype=np.float32)


def figures_of(index: KeyIndex, columns: dict[int, Column]) -> list[Figure]:
    """Every task, then the mean of all."""
    mean = mean_figure(index, list(columns.values()))
    assert mean is not None
    return [*map(task_figure, columns.values()), mean]


def all_pairs(
    index: KeyIndex, marks: NDArray[np.float32], pairs: NDArray[np.int64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """From marks to the interval of every pair on every task and on their mean."""
    figures = figures_of(index, columns_of(index, np.ones(len(index.task), bool), marks, 1))
    drawn = replicates(index, figures)
    return [paired_intervals(figure, pairs, own) for figure, own in zip(figures, drawn, strict=True)]


def scipy_seconds(figures: Sequence[Figure], n_sources: int, pairs: NDArray[np.int64]) -> tuple[float, float]:
    """Wall and processor seconds of every pair and figure, from a coarse task, a fine task and the mean of `pairs`."""
    *tasks, mean = figures
    coarse = [task for task in tasks if task.n_questions == ITEMS]
    times = {
        kind: np.mean([seconds(partial(scipy_interval, figure, *pair)) for pair in pairs.tolist()], axis=0)
        for kind, figure in (("coarse", coarse[0]), ("fine", tasks[-1]))
    }
    of_mean = np.mean(
        [seconds(partial(scipy_mean_interval, mean, n_sources, *pair)) for pair in pairs.tolist()], axis=0
    )
    one_pair = times["coarse"] * len(coarse) + times["fine"] * (len(tasks) - len(coarse)) + np.mean(of_mean, axis=0)
    wall, cpu = (one_pair * MODELS * (MODELS - 1) / 2).tolist()
    return wall, cpu


def scipy_interval(figure: Figure, first: int, second: int) -> Ends:
    """One task of one pair; its sums per source are already made."""
    tally = figure.columns[0].tally
    change = (tally.correct[second] - tally.correct[first]).astype(np.float64)

    def statistic(change: NDArray, count: NDArray, axis: int) -> NDArray:
        return change.sum(axis=axis) / count.sum(axis=axis)

    found = scipy.stats.bootstrap(
        (change, figure.columns[0].count), statistic, n_resamples=REPLICATES, paired=True, method="percentile",
        vectorized=True, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return found.low, found.high


def scipy_mean_interval(figure: Figure, n_sources: int, first: int, second: int) -> Ends:
    """The mean of all tasks of one pair."""
    change, count = np.zeros((2, n_sources, len(figure.columns)))
    for place, column in enumerate(figure.columns):
        sources = column.tally.sources
        change[sources, place] = column.tally.correct[second] - column.tally.correct[first]
        count[sources, place] = column.count

    def statistic(drawn: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        assert axis == -1  # the sources; the gathered sums have their tasks behind them
        return (change[drawn].sum(axis=-2) / count[drawn].sum(axis=-2)) @ figure.votes

    found = scipy.stats.bootstrap(
        (np.arange(n_sources),), statistic, n_resamples=REPLICATES, batch=SCIPY_BATCH, method="percentile",
        vectorized=True, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return found.low, found.high


def check_same(index: KeyIndex, figures: Sequence[Figure], pairs: NDArray[np.int64]) -> None:
    """Raise AssertionError unless scipy finds our percentiles, and our interval, which is wider, holds both."""
    pair = pairs[len(pairs) // 2]
    for figure in (figures[0], figures[-2], figures[-1]):
        drawn = replicates(index, [figure])[0]
        (low,), (high,) = paired_intervals(figure, pair[None], drawn)
        ours = np.quantile(drawn[pair[1]] - drawn[pair[0]], [0.025, 0.975])
        is_mean = len(figure.columns) > 1
        theirs = scipy_mean_interval(figure, index.n_sources, *pair) if is_mean else scipy_interval(figure, *pair)
        assert np.abs(ours - theirs).max() < SAME_WIDTH * (theirs[1] - theirs[0]), "the intervals differ"
        assert low <= ours[0] and ours[1] <= high, "our interval is narrower than its bootstrap"
        total = source_differences(figure, index.n_sources, *pair.tolist()).sum()
        assert low < total < high, "our interval does not hold the difference"


if __name__ == "__main__":
    main()
