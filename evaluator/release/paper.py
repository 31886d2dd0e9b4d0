"""The figures that the benchmark's authors published. In: a board and a release's datasets; out: rows to read against.

They were measured on every image of the public release, by the authors' own code, and pool the questions of a kind:
they are references, never entries. data/paper.json holds them as printed, in percent.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from evaluator.answers import Protocol

TABLE_1 = {"pooled-coarse": "coarse", "pooled-fine": "fine", "cognition": "cognition"}  # board -> column of Table 1


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """One published model on one board; fractions. `low`, `high`: None where the paper states no interval.

    tasks: its accuracy on each dataset that was reported for it alone.
    """

    name: str
    protocol: Protocol | None  # contrastive models chose among captions, others answered questions; None for chance
    score: float
    low: float | None
    high: float | None
    tasks: dict[str, float]


def paper_rows(board: str, datasets: Collection[str]) -> list[PaperRow]:
    """The published rows of a board, best first; none where the release is not the paper's benchmark.

    A dataset's board has its row of the per-task table. The pooled boards and cognition have Table 1, when the release
    holds every dataset that Table 1 pools and the public release has.
    """
    if board in TABLE_1:
        held = set(datasets) >= benchmark_datasets()
        rows = [_from_table_1(model, TABLE_1[board]) for model in _published()["models"] if held and "table_1" in model]
    else:
        reported = [model for model in _published()["models"] if board in datasets and board in model.get("tasks", {})]
        rows = [_row(model, model["tasks"][board], None) for model in reported]
    return sorted(rows, key=lambda row: (-row.score, row.name))


def _from_table_1(model: dict[str, Any], column: str) -> PaperRow:
    score, half_width = model["table_1"][column]
    return _row(model, score, half_width)


def _row(model: dict[str, Any], score: float, half_width: float | None) -> PaperRow:
    return PaperRow(
        name=model["name"], protocol=_protocol(model["group"]), score=_fraction(score),
        low=None if half_width is None else _fraction(score - half_width),
        high=None if half_width is None else _fraction(score + half_width),
        tasks={dataset: _fraction(value) for dataset, value in model.get("tasks", {}).items()},
    )  # fmt: skip


def _protocol(group: str) -> Protocol | None:
    if group == "chance":
        return None
    return Protocol.CAPTIONS if group.endswith("contrastive") else Protocol.QUESTIONS


def _fraction(percent: float) -> float:
    return round(percent / 100, 6)


def benchmark_datasets() -> set[str]:
    """The datasets that the paper's means are over, but for those that the public release lacks."""
    published = _published()
    named = {dataset for model in published["models"] for dataset in model.get("tasks", {})}
    return named - set(published["not_in_the_public_release"])


@cache
def _published() -> dict[str, Any]:
    return json.loads(resources.files("evaluator.release").joinpath("data/paper.json").read_text("utf-8"))
