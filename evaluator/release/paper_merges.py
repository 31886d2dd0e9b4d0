"""The merges that the benchmark's authors published. In: a release's datasets; out: points of their frontier figure.

Read from the pixels of that figure; data/paper_merges.json says how. References to look at, never entries.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

from evaluator.release.paper import benchmark_datasets


class Role(StrEnum):
    """Which of the three models of a pair a point is."""

    BASE = "base"
    MERGE = "merge"
    TUNED = "tuned"


@dataclass(frozen=True, kw_only=True)
class PaperPoint:
    """One model; fractions."""

    name: str
    role: Role
    target: float  # mean over the four H&E datasets
    all: float  # mean over all tasks of the group


@dataclass(frozen=True, kw_only=True)
class PaperMerge:
    """A pair and its merge on the tasks of one group, `coarse` or `fine`: base, merge, tuned."""

    group: str
    points: tuple[PaperPoint, ...]


def paper_merges(datasets: Collection[str]) -> list[PaperMerge]:
    """The published pairs, fine before coarse; none where the release lacks a dataset that their means are over."""
    published = json.loads(resources.files("evaluator.release").joinpath("data/paper_merges.json").read_text("utf-8"))
    if not set(datasets) >= benchmark_datasets() | set(published["target_datasets"]):
        return []
    return [
        PaperMerge(group=merge["group"], points=tuple(
            PaperPoint(name=point["name"], role=Role(point["role"]), target=round(point["target"] / 100, 6),
                       all=round(point["all"] / 100, 6))
            for point in merge["points"]
        ))
        for merge in published["merges"]
    ]  # fmt: skip
