"""Label efficiency as a section of a page. In: a reader and a submission; out: what is shown of it, in every state."""

from typing import Any

from evaluator.release.info import info_from_json
from leaderboard import permissions
from leaderboard.label_efficiency import reading
from leaderboard.label_efficiency.material import refusal
from leaderboard.label_efficiency.rows import Standing, Status
from leaderboard.label_efficiency.standing import standing_of
from leaderboard.models import Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.pages.labels import efficiency
from leaderboard.permissions import Action, AnyUser
from leaderboard.states import SubmissionState

WAITS = "It is measured by itself when no evaluation of the release is left to score, and appears here."


def section(user: AnyUser, submission: Submission, *, with_rank: bool = False) -> dict[str, Any] | None:
    """The context of efficiency/_section.html; None where there is nothing to say to this reader.

    with_rank: also where it stands on its release's board.
    """
    if submission.kind == SubmissionKind.BASELINE or submission.state != SubmissionState.ACCEPTED:
        return None
    documents = [each.document for each in reading.of_submission(user, submission)]
    status = _status(user, submission, is_measured=bool(documents))
    if status is None:
        return None
    info = info_from_json(submission.release.info)
    return {
        "submission": submission, "release": submission.release,
        "shown": efficiency.shown(documents, info.datasets) if documents else None,
        "refused": status.reason if status.standing == Standing.NOT_APPLICABLE else "",
        "failed": status.standing == Standing.FAILED, "says": _says(status),
        **(_rank(submission) if with_rank and documents else {}),
    }  # fmt: skip


def _status(user: AnyUser, submission: Submission, *, is_measured: bool) -> Status | None:
    """Where it stands. Strangers are told why it does not apply, and nothing of what is still to come."""
    if permissions.may(user, Action.INSPECT, submission):
        return reading.state_of(submission, user=user)
    if reason := refusal(submission):
        return Status(standing=Standing.NOT_APPLICABLE, reason=reason)
    return Status(standing=Standing.DONE) if is_measured else None


def _says(status: Status) -> str:
    """The state in a sentence; empty where all of it stands or none of it ever will."""
    match status.standing:
        case Standing.WAITING:
            return status.reason or f"Label efficiency is not measured yet. {WAITS}"
        case Standing.RUNNING:
            done, total = status.progress.get("done"), status.progress.get("total")
            return f"Label efficiency is being measured{f': {done:.0f} of {total:.0f}' if total else ''}."
        case Standing.FAILED:
            return f"Measuring it failed. {status.reason}"
        case _:
            return ""


def _rank(submission: Submission) -> dict[str, Any]:
    """The row of the release's board, where this submission stands on it."""
    found = standing_of(submission)
    return {"standing": found[0], "n_ranked": found[1]} if found else {}
