"""States of submissions, evaluations and studies, and the only writer of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.apps import apps
from django.db import models as db
from django.db import transaction
from django.db.models.functions import Now

if TYPE_CHECKING:
    from leaderboard.models import Evaluation, Study, Submission

NOTE_LENGTH = 300


class SubmissionState(db.TextChoices):
    """The life of a submitted artefact. `rejected` and `withdrawn` are ends; an accepted one has evaluations."""

    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    VALIDATING = "validating"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class EvaluationState(db.TextChoices):
    """The life of one evaluation. A failed or cancelled one is an end; a retry is a new evaluation."""

    QUEUED = "queued"
    RUNNING = "running"
    ANSWERED = "answered"
    SCORED = "scored"
    FAILED = "failed"
    CANCELLED = "cancelled"


class StudyState(db.TextChoices):
    """The life of one study. A failed one is an end; asking again makes a new one."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


SUBMISSION_MOVES: dict[SubmissionState, frozenset[SubmissionState]] = {
    SubmissionState.UPLOADING: frozenset({SubmissionState.UPLOADED, SubmissionState.REJECTED}),
    SubmissionState.UPLOADED: frozenset({SubmissionState.VALIDATING, SubmissionState.WITHDRAWN}),
    # back to uploaded: the validator's lease ran out
    SubmissionState.VALIDATING: frozenset(
        {SubmissionState.UPLOADED, SubmissionState.ACCEPTED, SubmissionState.REJECTED, SubmissionState.WITHDRAWN}
    ),
    SubmissionState.ACCEPTED: frozenset({SubmissionState.WITHDRAWN}),
    SubmissionState.REJECTED: frozenset(),
    SubmissionState.WITHDRAWN: frozenset(),
}

EVALUATION_MOVES: dict[EvaluationState, frozenset[EvaluationState]] = {
    EvaluationState.QUEUED: frozenset({EvaluationState.RUNNING, EvaluationState.CANCELLED, EvaluationState.FAILED}),
    # back to queued: the runner's lease ran out, or an infrastructure failure with attempts left
    EvaluationState.RUNNING: frozenset(
        {EvaluationState.QUEUED, EvaluationState.ANSWERED, EvaluationState.FAILED, EvaluationState.CANCELLED}
    ),
    EvaluationState.ANSWERED: frozenset({EvaluationState.SCORED, EvaluationState.FAILED, EvaluationState.CANCELLED}),
    EvaluationState.SCORED: frozenset(),
    EvaluationState.FAILED: frozenset(),
    EvaluationState.CANCELLED: frozenset(),
}

STUDY_MOVES: dict[StudyState, frozenset[StudyState]] = {
    StudyState.QUEUED: frozenset({StudyState.RUNNING, StudyState.FAILED}),
    # back to queued: its worker was lost, or more was asked for meanwhile
    StudyState.RUNNING: frozenset({StudyState.QUEUED, StudyState.DONE, StudyState.FAILED}),
    StudyState.DONE: frozenset(),
    StudyState.FAILED: frozenset(),
}

SUBMISSION_ENDS = frozenset(state for state, targets in SUBMISSION_MOVES.items() if not targets)
EVALUATION_ENDS = frozenset(state for state, targets in EVALUATION_MOVES.items() if not targets)
STUDY_ENDS = frozenset(state for state, targets in STUDY_MOVES.items() if not targets)
HELD = (SubmissionState.VALIDATING, EvaluationState.RUNNING, StudyState.RUNNING)  # a worker holds a lease on it


class TransitionRefused(Exception):
    """Another process, the rules or a newer token got there first; nothing was changed."""


def advance_submission(
    submission: "Submission", to: SubmissionState, *, actor: UUID | None = None, note: str = "",
    held_token: int | None = None, **fields: Any,
) -> None:  # fmt: skip
    """Move a submission to `to` and set `fields` with it; a worker passes the token that its claim gave it.

    Raises TransitionRefused when the move is not legal from where the submission stands now, or `held_token` is not
    the latest. The event is written in the same transaction.
    """
    _advance(submission, SUBMISSION_MOVES, to, {"submission": submission}, actor, note, held_token, fields)


def advance_evaluation(
    evaluation: "Evaluation", to: EvaluationState, *, actor: UUID | None = None, note: str = "",
    held_token: int | None = None, **fields: Any,
) -> None:  # fmt: skip
    """Move an evaluation to `to`, as `advance_submission` does a submission."""
    if to in EVALUATION_ENDS:
        fields["finished_at"] = Now()
    subject = {"submission_id": evaluation.submission_id, "evaluation": evaluation}
    _advance(evaluation, EVALUATION_MOVES, to, subject, actor, note, held_token, fields)


def advance_study(
    study: "Study", to: StudyState, *, actor: UUID | None = None, note: str = "", held_token: int | None = None,
    **fields: Any,
) -> None:  # fmt: skip
    """Move a study to `to`, as `advance_submission` does a submission."""
    if to in STUDY_ENDS:
        fields["finished_at"] = Now()
    _advance(study, STUDY_MOVES, to, {"study": study}, actor, note, held_token, fields)


def release_lease(evaluation: "Evaluation", *, note: str, held_token: int | None = None, **fields: Any) -> None:
    """Free an answered evaluation from its scorer, which changes no state; refused like a move."""
    stays = {EvaluationState.ANSWERED: frozenset({EvaluationState.ANSWERED})}
    subject = {"submission_id": evaluation.submission_id, "evaluation": evaluation}
    _advance(evaluation, stays, EvaluationState.ANSWERED, subject, None, note, held_token, fields)


def record(*, actor: UUID | None = None, note: str = "", **facts: Any) -> None:
    """Write one event that changes no state: an act of staff, a publication, a late write that was fenced."""
    apps.get_model("leaderboard", "Event").objects.create(actor=actor, note=note[:NOTE_LENGTH], **facts)


def _advance(
    row: Any, moves: Mapping[Any, frozenset[Any]], to: Any, subject: dict[str, Any], actor: UUID | None, note: str,
    held_token: int | None, fields: dict[str, Any],
) -> None:  # fmt: skip
    manager = type(row)._default_manager
    with transaction.atomic():
        # no_key: events that name the row may be written meanwhile, else two moves of one submission could lock
        # each other out.
        now = manager.select_for_update(no_key=True).values("state", "token").get(pk=row.pk)
        if to not in moves.get(now["state"], ()):
            raise TransitionRefused(f"{row.pk} is {now['state']}, so it cannot become {to}")
        if held_token is not None and held_token != now["token"]:
            raise TransitionRefused(f"{row.pk} has token {now['token']}, so token {held_token} writes too late")
        if to not in HELD:
            fields = {"lease_until": None, "heartbeat_at": None, "worker": "", **fields}
        manager.filter(pk=row.pk).update(state=to, **fields)
        token = fields.get("token", held_token)
        record(from_state=now["state"], to_state=to, token=token, actor=actor, note=note, **subject)
    row.refresh_from_db()
