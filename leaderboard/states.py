"""States of submissions and evaluations, and the only writer of them."""

from django.db import models as db


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
