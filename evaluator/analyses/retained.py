"""How much of what the base knew is left. In: columns outside the target of base, tuned and chance; out: the share."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluator.analyses.cells import BASE, TUNED
from evaluator.analyses.paired import Column, mean_figure, replicates
from evaluator.scoring.index import KeyIndex
from evaluator.statistics.bootstrap import percentile_interval
from evaluator.statistics.paired import expanded_tail
from evaluator.statistics.wilson import clustered_wilson

CHANCE = 2  # place of the marks of guessing in every column


def retained_share(index: KeyIndex, columns: Sequence[Column]) -> dict[str, Any]:
    """Σ(tuned − chance) / Σ(base − chance) over the tasks whose base is significantly above chance, not clipped.

    Significantly: the low end of the base's clustered Wilson interval is above chance on the same questions. Tasks
    weigh as in boards. The interval is of the bootstrap, with these tasks held fixed. All None where there is no task.
    """
    known = [column for column in columns if _is_known(column)]
    figure = mean_figure(index, known)
    if figure is None:
        return {"estimate": None, "low": None, "high": None, "n_tasks": 0, "tasks": []}
    accuracy = figure.accuracy
    drawn = replicates(index, [figure])[0]
    left = accuracy[BASE] - accuracy[CHANCE]
    with np.errstate(invalid="ignore", divide="ignore"):
        above = drawn[BASE] - drawn[CHANCE]
        share = np.where(above > 0, (drawn[TUNED] - drawn[CHANCE]) / above, np.nan)
    low, high = percentile_interval(share, level=1 - 2 * expanded_tail(len(figure.sources)))
    return {
        "estimate": float((accuracy[TUNED] - accuracy[CHANCE]) / left), "low": low, "high": high,
        "n_tasks": len(known), "tasks": [index.tasks[column.code].slug for column in known],
    }  # fmt: skip


def _is_known(column: Column) -> bool:
    correct, count = column.tally.of_entry(BASE)
    low = clustered_wilson(correct[:, None], count[:, None]).low
    return low is not None and low > column.accuracy[CHANCE]
