"""How work ends other than well, and what that costs: rejected, failed, cancelled, or tried again later.

One home for these ends, because workers, the reconciler and people all bring them about.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from evaluator.errors import InputError, Problem
from leaderboard import quota, states
from leaderboard.models import Evaluation, Study, Submission
from leaderboard.parts import drop_parts
from leaderboard.states import EvaluationState, StudyState, SubmissionState

SHOWN_PROBLEMS = 1_000
GAVE_UP = (
    "the server lost the worker that held it {attempts} times; this is not your fault and cost nothing: submit again, "
    "or ask the organisers"
)
STUDY_GAVE_UP = "the server lost the worker that held it {attempts} times; organisers can ask for it again"


def reject(submission: Submission, error: InputError, *, held_token: int | None = None) -> None:
    """The file is wrong: keep every problem for its author; the submission costs nothing."""
    with transaction.atomic():
        states.advance_submission(
            submission, SubmissionState.REJECTED, held_token=held_token,
            problems=[problem.as_dict() for problem in error.problems[:SHOWN_PROBLEMS]], problem_counts=error.counts,
        )  # fmt: skip
        quota.free(submission)


def fail(row: Evaluation | Study, code: str, message: str, *, held_token: int | None = None) -> None:
    """The evaluation ended without answers; if nothing of its submission is left to score, that costs nothing. Or the
    study ended without a result, which never costs anything."""
    if isinstance(row, Study):
        states.advance_study(
            row, StudyState.FAILED, held_token=held_token, note=code, failure_code=code, failure_message=message,
            progress={},
        )  # fmt: skip
        return
    with transaction.atomic():
        states.advance_evaluation(
            row, EvaluationState.FAILED, held_token=held_token, note=code, failure_code=code, failure_message=message,
        )  # fmt: skip
        drop_parts(row)
        _free_if_nothing_left(row.submission)


def cancel(evaluation: Evaluation, *, actor: UUID | None) -> None:
    """Stop the evaluation; a worker that holds it learns it from its next heartbeat."""
    with transaction.atomic():
        states.advance_evaluation(evaluation, EvaluationState.CANCELLED, actor=actor)
        drop_parts(evaluation)
        _free_if_nothing_left(evaluation.submission)


def try_again(row: Submission | Evaluation | Study, note: str, *, held_token: int | None = None) -> None:
    """An infrastructure cause: back to the queue with back-off, or to its end after MAX_ATTEMPTS attempts.

    The token moves on, so that whoever still works on the row writes too late.
    """
    if row.attempts >= settings.MAX_ATTEMPTS:
        _give_up(row, held_token)
        return
    rest = timedelta(seconds=settings.BACKOFF_S * 2 ** max(row.attempts - 1, 0))
    again: dict[str, Any] = {"token": row.token + 1, "not_before": Now() + rest}
    if isinstance(row, Submission):
        states.advance_submission(row, SubmissionState.UPLOADED, held_token=held_token, note=note, **again)
    elif isinstance(row, Study):
        states.advance_study(row, StudyState.QUEUED, held_token=held_token, note=note, progress={}, **again)
    elif row.state == EvaluationState.RUNNING:
        states.advance_evaluation(row, EvaluationState.QUEUED, held_token=held_token, note=note, progress={}, **again)
    else:
        states.release_lease(row, held_token=held_token, note=note, **again)


def _give_up(row: Submission | Evaluation | Study, held_token: int | None) -> None:
    message = (STUDY_GAVE_UP if isinstance(row, Study) else GAVE_UP).format(attempts=row.attempts)
    if isinstance(row, Submission):
        reject(row, InputError([Problem(code="worker_lost", message=message)]), held_token=held_token)
    else:
        fail(row, "worker_lost", message, held_token=held_token)


def _free_if_nothing_left(submission: Submission) -> None:
    alive = submission.evaluations.exclude(state__in=(EvaluationState.FAILED, EvaluationState.CANCELLED))
    if not alive.exists():
        quota.free(submission)
