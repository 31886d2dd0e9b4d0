"""Speed of scoring and ranking, side by side with the same resampling done by scipy.

`python -m tests.bench.bench_scoring` prints every figure with its goal.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from evaluator.release.schema import Split
from evaluator.scoring import score
from evaluator.scoring.aggregates import aggregate_means
from evaluator.scoring.boards import BoardEntry, compute_board
from evaluator.scoring.index import KeyIndex, build_index
from evaluator.scoring.sums import SourceSums, source_sums
from evaluator.statistics.bootstrap import REPLICATES
from tests.bench.table import report_limit
from tests.builders.tables import Tables, make_tables, random_answers

ITEMS, DATASETS, SOURCES, KINDS = 16_667, 25, 5_000, 6  # 100,002 questions, 30 tasks
SCORE_GOAL_S = 2.0
ENTRIES = 500
BOARD_GOAL_S = 10.0
SCIPY_BATCH = 50  # as many resamples of all sources as fit into memory at once


def main() -> None:
    tables = make_tables(datasets=DATASETS, items=ITEMS, sources=SOURCES, variants=(1,))
    index = build_index(tables.info, Split.TEST, tables.questions, tables.key)
    ours, scipys = measure_score(tables), measure_scipy(index)
    report_limit(
        "P8", f"score {tables.questions.num_rows:,} questions, {index.n_sources:,} sources, B = {REPLICATES:,}", ours,
        SCORE_GOAL_S, "s", f"{scipys:.1f} s: scipy.stats.bootstrap of the aggregates alone",
    )  # fmt: skip
    entries = make_entries(index, ENTRIES)
    drawn_anew = [replace(entry, replicates=None) for entry in entries]
    for what, given, facets in (
        ("as published", entries, {}), ("narrowed by a facet", drawn_anew, {"modality": ("light",)})
    ):  # fmt: skip
        taken = _seconds(partial(compute_board, index, "overall", given, facets, hidden=True))
        report_limit("P9", f"board {what}, {ENTRIES} entries x {len(index.tasks)} tasks", taken, BOARD_GOAL_S, "s")


def measure_score(tables: Tables) -> float:
    """Seconds from answers and key to the whole report: alignment, index, intervals, facets, replicates."""
    answers = random_answers(tables.questions)
    return min(
        _seconds(
            lambda: score(
                tables.info, Split.TEST, tables.questions, tables.key, answers, protocol="captions", key_revision=1
            )
        )
        for _ in range(3)
    )


def measure_scipy(index: KeyIndex) -> float:
    """Seconds for the aggregates' intervals alone, sources drawn whole, by scipy on sums that are already made."""
    sums = _random_sums(index)
    present = sums.count.sum(axis=0) > 0

    def statistic(drawn: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        assert axis == -1  # the sources; the gathered sums have their tasks behind them
        correct, count = sums.correct[drawn].sum(axis=-2), sums.count[drawn].sum(axis=-2)
        return np.moveaxis(aggregate_means(index, correct, count, present), -1, 0)

    return _seconds(
        lambda: scipy.stats.bootstrap(
            (np.arange(index.n_sources),), statistic, n_resamples=REPLICATES, batch=SCIPY_BATCH, method="percentile",
            vectorized=True, rng=np.random.default_rng(0),
        )
    )  # fmt: skip


def make_entries(index: KeyIndex, n: int) -> list[BoardEntry]:
    """Entries right at 30 to 70 %, with replicates as their reports would have stored them."""
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.01, (REPLICATES, 1))
    columns = 6 + len(index.tasks)
    return [
        BoardEntry(
            correct=(rng.random(len(index.task)) < share).astype(np.float32), variant=1, ranked=True,
            replicates=(share + shared + rng.normal(0, 0.01, (REPLICATES, columns))).astype(np.float32),
        )
        for share in np.linspace(0.3, 0.7, n)
    ]  # fmt: skip


def _random_sums(index: KeyIndex) -> SourceSums:
    marks = (np.random.default_rng(0).random(len(index.task)) < 0.5).astype(np.float32)
    return source_sums(index, marks, index.rows_of(1))


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
