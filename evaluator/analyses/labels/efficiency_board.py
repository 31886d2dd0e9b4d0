"""Encoders ranked by label efficiency. In: their areas and replicates per dataset; out: rows, best first.

Replicates were drawn alike for all (evaluator.analyses.labels.draws), so any two encoders are compared pairwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.statistics.bootstrap import percentile_interval
from evaluator.statistics.ranks import rank

Area = tuple[float, NDArray[np.float64]]  # of the mean curve, and its replicates (B,)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One encoder. estimate: the mean over the board's datasets, None where it lacks one, which is then its
    `unranked_reason`; rank: its place by the estimate, equal ones share it; others as in statistics.ranks."""

    id: str
    estimate: float | None
    low: float | None
    high: float | None
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    group: int | None
    missing: tuple[str, ...]
    unranked_reason: str


@dataclass(frozen=True, kw_only=True)
class Board:
    """Ranked rows, best first, then the others by id; resolvable: as in statistics.ranks."""

    rows: tuple[Row, ...]
    resolvable: float | None


def mean_area(areas: Sequence[Area]) -> Area:
    """The mean over one dataset or more, replicate by replicate."""
    return float(np.mean([estimate for estimate, _ in areas])), np.mean([drawn for _, drawn in areas], axis=0)


def rank_efficiency(entries: Mapping[str, Mapping[str, Area]], datasets: Sequence[str]) -> Board:
    """Rank by the mean log2 area over `datasets`, those that are ranked; entries: areas by encoder and dataset.

    The mean is of exactly these datasets: an encoder that lacks one is listed without a rank.
    """
    whole = {
        name: mean_area([areas[each] for each in datasets]) for name, areas in entries.items()
        if datasets and all(each in areas for each in datasets)
    }  # fmt: skip
    order = sorted(whole, key=lambda name: (-whole[name][0], name))
    scores = np.array([whole[name][0] for name in order], dtype=np.float64)
    ranks = rank(scores, np.stack([whole[name][1] for name in order], axis=1) if order else np.empty((0, 0)))
    rows = []
    for place, name in enumerate(order):
        low, high = percentile_interval(whole[name][1])
        rows.append(Row(
            id=name, estimate=float(scores[place]), low=low, high=high, rank=1 + int((scores > scores[place]).sum()),
            rank_low=ranks.rank_low[place], rank_high=ranks.rank_high[place], group=ranks.group[place], missing=(),
            unranked_reason="",
        ))  # fmt: skip
    rows += [_unranked(name, entries[name], datasets) for name in sorted(set(entries) - set(whole))]
    return Board(rows=tuple(rows), resolvable=ranks.resolvable)


def _unranked(name: str, areas: Mapping[str, Area], datasets: Sequence[str]) -> Row:
    missing = tuple(each for each in datasets if each not in areas)
    reason = f"It lacks {len(missing)} of {len(datasets)} datasets: {', '.join(missing)}." if datasets else (
        "No dataset is ranked.")  # fmt: skip
    return Row(
        id=name, estimate=None, low=None, high=None, rank=None, rank_low=None, rank_high=None, group=None,
        missing=missing, unranked_reason=reason,
    )  # fmt: skip
