"""Use cases of submissions: submit, withdraw, cancel, retry, pause. In: a person and what they ask; out: rows moved on,
or an error that says who must do what."""

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from evaluator.architectures.registry import get_architecture
from evaluator.errors import InputError
from leaderboard import bases, intake, outcomes, permissions, publication, quota, states, storage
from leaderboard.intake import NewSubmission
from leaderboard.lineage import links
from leaderboard.models import Evaluation, Model, QueueSwitch, Submission, User
from leaderboard.models.submissions import Purpose
from leaderboard.queue import Queue, dispatch
from leaderboard.states import EvaluationState, SubmissionState, TransitionRefused

UNFINISHED_STATES = (EvaluationState.QUEUED, EvaluationState.RUNNING, EvaluationState.ANSWERED)


def submit(user: User, new: NewSubmission) -> Submission:
    """Take a submission in and ring the validator. A repeated Idempotency-Key returns the submission it made.

    Raises InputError with every cheap problem, PermissionDenied for another author's model, QuotaExceeded.
    """
    model = Model.objects.filter(slug=new.model).first()
    if model is not None and not permissions.may_edit(user, model):
        raise PermissionDenied(f"the model {new.model} belongs to another author: choose another name")
    if problems := list(intake.problems_with(user, new)):
        raise InputError(problems)
    if earlier := _earlier(user, new):
        return earlier
    base_submission = bases.find_submission(user, new.base) if new.is_adapter else None
    stored = [(file, storage.put_received(file)) for file in new.files]
    try:
        with transaction.atomic():
            submission = Submission.objects.create(
                model=model or model_named(user, new.model, architecture=new.architecture, base=_base(user, new)),
                owner=user, release=new.release, kind=new.kind, split=new.split, architecture=new.architecture,
                base=_base(user, new), base_submission=base_submission, target=list(new.target), publish=new.publish,
                kept_private=new.kept_private, idempotency_key=new.idempotency_key or None,
                file_name=intake.main_name(new.files),
                files=[{"name": file.name, "sha256": blob.sha256, "size": blob.size} for file, blob in stored],
                file_sha256=intake.digest(new.files), file_size=sum(blob.size for _, blob in stored),
            )  # fmt: skip
            quota.take(user, submission)
            if base := str(base_submission.pk) if base_submission else "" if new.is_adapter else new.base:
                links.declare(submission, base, new.target, by=user)
            states.advance_submission(submission, SubmissionState.UPLOADED, actor=user.actor_id)
            dispatch.ring(Queue.VALIDATE)
    except IntegrityError:
        if earlier := _earlier(user, new):  # the same request came in twice at once
            return earlier
        raise
    return submission


def model_named(user: User, slug: str, *, architecture: str, base: Model | None) -> Model:
    """The model of this slug, made when there is none. PermissionDenied for another author's."""
    facts: dict[str, Any] = {}
    if architecture:
        found = get_architecture(architecture)
        facts = {"architecture": found.name, "parameters": found.parameters}
    model, _ = Model.objects.get_or_create(slug=slug, defaults={"name": slug, "owner": user, "base": base, **facts})
    if not permissions.may_edit(user, model):
        raise PermissionDenied(f"the model {slug} belongs to another author: choose another name")
    return model


def withdraw(submission: Submission, *, by: User) -> None:
    """Take a submission back for good: what runs is cancelled, what is published becomes a tombstone."""
    with transaction.atomic():
        states.advance_submission(submission, SubmissionState.WITHDRAWN, actor=by.actor_id)
        cancel(submission, by=by)
        publication.withdraw(submission, by=by)


def cancel_evaluation(evaluation: Evaluation, *, by: User) -> None:
    """Stop one evaluation; raises TransitionRefused when it has ended already."""
    outcomes.cancel(evaluation, actor=by.actor_id)


def cancel(submission: Submission, *, by: User) -> int:
    """Stop every evaluation that has not ended; returns how many. One that ends meanwhile is left as it ended."""
    stopped = 0
    for evaluation in submission.evaluations.filter(state__in=UNFINISHED_STATES):
        try:
            cancel_evaluation(evaluation, by=by)
            stopped += 1
        except TransitionRefused:
            continue
    return stopped


def retry_evaluation(evaluation: Evaluation, *, by: User) -> Evaluation:
    """Start a failed or cancelled evaluation anew, as a new evaluation; the old one stays as it ended."""
    ended = evaluation.state in (EvaluationState.FAILED, EvaluationState.CANCELLED)
    if not ended or evaluation.submission.state != SubmissionState.ACCEPTED:
        raise TransitionRefused(f"evaluation {evaluation.pk} is {evaluation.state}: only an ended one can be retried")
    has_answers = evaluation.answers_sha256 or "baseline" in evaluation.run  # chance is scored without any
    state = EvaluationState.ANSWERED if has_answers else EvaluationState.QUEUED
    try:
        with transaction.atomic():
            again = Evaluation.objects.create(
                submission=evaluation.submission, split=evaluation.split, purpose=evaluation.purpose,
                base=evaluation.base, state=state,
                answers_sha256=evaluation.answers_sha256, embeddings_sha256=evaluation.embeddings_sha256,
                protocol=evaluation.protocol, run=evaluation.run,
            )  # fmt: skip
            states.record(submission=evaluation.submission, evaluation=again, to_state=state, actor=by.actor_id,
                          note=f"retry of {evaluation.pk}")  # fmt: skip
            dispatch.ring(Queue.SCORE if state == EvaluationState.ANSWERED else Queue.EVALUATE)
    except IntegrityError as already:
        raise TransitionRefused(f"{evaluation.split} is being evaluated again already") from already
    return again


def pause_queue(queue: Queue, *, by: User) -> None:
    """Let the workers of a queue claim nothing more; what they hold goes on."""
    _switch(queue, paused=True, actor=by.actor_id)


def resume_queue(queue: Queue, *, by: User) -> None:
    """Let the workers of a paused queue go on."""
    _switch(queue, paused=False, actor=by.actor_id)
    dispatch.ring(queue)


def combined_state(submission: Submission) -> str:
    """The one line shown for a submission: its own state until accepted, then that of its evaluations.

    running > scoring > queued while any goes on; else scored when all are, failed or cancelled when one is.
    """
    if submission.state != SubmissionState.ACCEPTED:
        return submission.state
    latest: dict[str, str] = {}  # split -> state; a retry follows what it retries
    for evaluation in sorted(submission.evaluations.all(), key=lambda evaluation: evaluation.created_at):
        if evaluation.purpose == Purpose.SCORE:
            latest[evaluation.split] = evaluation.state
    for state, word in COMBINED:
        if state in latest.values():
            return word
    return submission.state


COMBINED = (
    (EvaluationState.RUNNING, "running"),
    (EvaluationState.ANSWERED, "scoring"),
    (EvaluationState.QUEUED, "queued"),
    (EvaluationState.FAILED, "failed"),
    (EvaluationState.CANCELLED, "cancelled"),
    (EvaluationState.SCORED, "scored"),
)


def _switch(queue: Queue, *, paused: bool, actor: UUID) -> None:
    with transaction.atomic():
        QueueSwitch.objects.update_or_create(queue=queue, defaults={"paused": paused, "changed_by": actor})
        states.record(queue=queue, to_state="paused" if paused else "resumed", actor=actor)


def _earlier(user: User, new: NewSubmission) -> Submission | None:
    if not new.idempotency_key:
        return None
    earlier = Submission.objects.filter(owner=user, idempotency_key=new.idempotency_key).select_related("model").first()
    if earlier is None:
        return None
    asked = (new.model, new.kind, new.release.pk, new.split, intake.digest(new.files))
    made = (earlier.model.slug, earlier.kind, earlier.release_id, earlier.split, earlier.file_sha256)
    other_base = new.is_adapter and bases.find_submission(user, new.base) != earlier.base_submission
    if asked != made or other_base:
        raise InputError.single(
            "idempotency_key_reused", "This Idempotency-Key made another submission: use a new one.",
            field="Idempotency-Key",
        )  # fmt: skip
    return earlier


def _base(user: User, new: NewSubmission) -> Model | None:
    if new.is_adapter:
        stands_on = bases.find_submission(user, new.base)
        return stands_on.model if stands_on else None
    named = links.find(user, new.release, new.base) if new.base else None
    return named[0] if named else None
