"""What boards exist and what they are called. In: board names from addresses; out: titles, metrics, columns."""

from dataclasses import dataclass
from enum import StrEnum

from evaluator.release.schema import ReleaseInfo, Split
from evaluator.release.tasks import task_title


class Aggregate(StrEnum):
    """Boards over several tasks; the value is the board's address."""

    OVERALL = "overall"
    COARSE = "coarse"
    FINE = "fine"
    POOLED = "pooled"
    POOLED_COARSE = "pooled-coarse"
    POOLED_FINE = "pooled-fine"


@dataclass(frozen=True, kw_only=True)
class AggregateText:
    """How an aggregate board is spoken of."""

    title: str
    metric: str
    report_key: str  # its place in a report's aggregates


AGGREGATES = {
    Aggregate.OVERALL: AggregateText(title="Overall", metric="macro accuracy", report_key="macro"),
    Aggregate.COARSE: AggregateText(title="Coarse tasks", metric="macro accuracy", report_key="coarse"),
    Aggregate.FINE: AggregateText(title="Fine tasks", metric="macro accuracy", report_key="fine"),
    Aggregate.POOLED: AggregateText(title="All questions pooled", metric="pooled accuracy", report_key="pooled"),
    Aggregate.POOLED_COARSE: AggregateText(
        title="Coarse questions pooled", metric="pooled accuracy", report_key="pooled_coarse"
    ),
    Aggregate.POOLED_FINE: AggregateText(
        title="Fine questions pooled", metric="pooled accuracy", report_key="pooled_fine"
    ),
}
FACET_BOARDS = (Aggregate.OVERALL, Aggregate.FINE, Aggregate.COARSE)  # a facet narrows these
FACET_TITLES = {
    "modality": "modality", "submodality": "submodality", "domain": "domain", "subdomain": "subdomain",
    "stain": "stain", "scale": "scale", "organism": "organism", "synthetic": "synthetic", "taxonomy": "task family",
}  # fmt: skip


def title(board: str, info: ReleaseInfo) -> str:
    """The board's name on pages. Raises KeyError for a board that the release does not have."""
    if board in AGGREGATES:
        return AGGREGATES[Aggregate(board)].title
    return task_title(board, info.datasets)


def metric(board: str) -> str:
    """What the board's score is."""
    return AGGREGATES[Aggregate(board)].metric if board in AGGREGATES else "accuracy"


def default_split(info: ReleaseInfo) -> Split:
    """The split that a reader sees first."""
    return next(split for split in (Split.TEST, Split.SEALED, Split.DEV) if split in info.splits)
