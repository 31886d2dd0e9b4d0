"""What pages and the API show of label efficiency. Values only: fractions, slugs, states; knows no query, no key."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Interval = dict[str, float | None]  # estimate, low, high
Json = dict[str, Any]


class Standing(StrEnum):
    """Where the label efficiency of a submission stands."""

    NOT_APPLICABLE = "not applicable"
    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Status:
    """`reason`: why it is not applicable or failed, a sentence; else empty. progress: of the study that runs."""

    standing: Standing
    reason: str = ""
    progress: Json = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EfficiencyDataset:
    """A fine dataset of the release, in the release's order. `reason`: why it is not ranked, a sentence, or empty."""

    slug: str
    title: str
    ranked: bool
    reason: str
    n_classes: int | None = None  # None until a study measured it
    pool_items: int | None = None
    items: int | None = None


@dataclass(frozen=True, kw_only=True)
class EfficiencyCell:
    """One encoder on one dataset, as its document has it (evaluator.analyses.labels.efficiency)."""

    aulc: Interval | None  # on log2 labels, chance-corrected, with the labels that all encoders share
    gain: Interval | None  # of its own choice over these
    labels_to: dict[str, Json]  # zero_shot, eighty_percent, ninety_of_ceiling: {labels, low, high, state}
    zero_shot: Interval | None  # balanced accuracy without labels
    ceiling: Interval | None  # balanced accuracy with the whole pool labelled
    n_classes: int
    most_labels: int | None  # held at the largest budget
    stale: bool = False  # made by an earlier key or version: a new one is asked for


@dataclass(frozen=True, kw_only=True)
class EfficiencyRow:
    """One model. On the overall board `aulc` and `gain` are means over ranked datasets, and there is no `labels_to`,
    `zero_shot` or `ceiling`: they are those of datasets. rank None: unranked, for `unranked_reason`."""

    model: str  # slug
    name: str
    submission: str  # uuid
    kind: str  # checkpoint, or derived for a merge
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    group: int | None
    aulc: Interval | None
    gain: Interval | None
    labels_to: dict[str, Json] | None = None
    zero_shot: Interval | None = None
    ceiling: Interval | None = None
    per_dataset: dict[str, EfficiencyCell] = field(default_factory=dict)  # by slug
    stale: bool = False
    unranked_reason: str = ""


@dataclass(frozen=True, kw_only=True)
class EfficiencyBoard:
    """Encoders by label efficiency: over all ranked datasets, or on one. Ranked rows first, best first.

    waiting: models on the release's boards whose study has yet to end.
    """

    release: str
    split: str
    dataset: str | None  # slug; None = over all
    rows: list[EfficiencyRow]
    datasets: list[EfficiencyDataset]
    waiting: int
    resolvable_difference: float | None
    seeds: int | None  # None while nothing is measured
    per_class: tuple[int, ...] = ()  # the budgets that occur


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Query strategies compared (evaluator.analyses.labels.strategies), from one start. dataset and encoder None:
    pooled over those that the reader may know of; else slugs."""

    dataset: str | None
    title: str  # of the dataset; empty when pooled
    encoder: str | None
    encoder_name: str  # empty when pooled
    submission: str | None  # uuid of the encoder's
    start: str
    document: Json


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """All comparisons of a release that the reader may know of, pooled ones first. waiting: studies yet to end."""

    found: list[Comparison]
    encoders: list[tuple[str, str]]  # slug, name: marked by organisers
    datasets: list[tuple[str, str]]  # slug, title: with at least one comparison
    waiting: int
