"""What boards are called. In: board names from addresses, metrics; out: titles and words."""

from evaluator.release.schema import ReleaseInfo, Split
from evaluator.release.tasks import task_title
from evaluator.scoring.aggregates import Aggregate
from evaluator.scoring.boards import AGGREGATE_BOARDS
from evaluator.scoring.index import Group

OVERALL = "overall"
AGGREGATE_TITLES = {
    OVERALL: "Overall", "coarse": "Coarse tasks", "fine": "Fine tasks", "pooled": "All questions pooled",
    "pooled-coarse": "Coarse questions pooled", "pooled-fine": "Fine questions pooled",
}  # fmt: skip
METRICS = {
    Aggregate.MACRO: "macro accuracy", Aggregate.COARSE: "macro accuracy of coarse tasks",
    Aggregate.FINE: "macro accuracy of fine tasks", Aggregate.POOLED: "pooled accuracy",
    Aggregate.POOLED_COARSE: "pooled accuracy of coarse questions",
    Aggregate.POOLED_FINE: "pooled accuracy of fine questions",
}  # fmt: skip
FACET_TITLES = {
    "modality": "modality", "submodality": "submodality", "domain": "domain", "subdomain": "subdomain",
    "stain": "stain", "scale": "scale", "organism": "organism", "synthetic": "synthetic", "taxonomy": "task family",
}  # fmt: skip


def board_title(board: str, info: ReleaseInfo) -> str:
    """The board's name on pages. Raises KeyError for a board that the release does not have."""
    return AGGREGATE_TITLES[board] if board in AGGREGATE_BOARDS else task_title(board, info.datasets)


def metric_words(metric: Aggregate | None, group: Group) -> str:
    """What a score is. `metric` None: the board is that of a single task, of `group`."""
    if metric is not None:
        return METRICS[metric]
    return "GRIT localisation" if group is Group.LOCALISATION else "accuracy"


def default_split(info: ReleaseInfo) -> Split:
    """The split that a reader sees first."""
    return info.default_split
