"""The tables. Models hold data and constraints; what happens to them stands in the use-case modules."""

from leaderboard.models.boards import BoardRefresh, BoardSnapshot, Entry, Report
from leaderboard.models.catalogue import Model
from leaderboard.models.label_efficiency import LabelEfficiency, StrategyRun, Study
from leaderboard.models.lineage import Analysis, AnalysisRequest, BaseLink
from leaderboard.models.people import QuotaSlot, TokenName, User
from leaderboard.models.queue import Event, LogLine, QueueSwitch, WorkerStatus
from leaderboard.models.releases import KeyRevision, Release
from leaderboard.models.submissions import Evaluation, EvaluationPart, Submission
from leaderboard.models.suggestions import Suggestion

__all__ = [
    "Analysis", "AnalysisRequest", "BaseLink", "BoardRefresh", "BoardSnapshot", "Entry", "Evaluation",
    "EvaluationPart", "Event", "KeyRevision", "LabelEfficiency", "LogLine", "Model", "QueueSwitch", "QuotaSlot",
    "Release", "Report", "StrategyRun", "Study", "Submission", "Suggestion", "TokenName", "User", "WorkerStatus",
]  # fmt: skip
