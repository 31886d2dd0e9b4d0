"""The no-image baseline of a checkpoint. In: a published submission; out: what its model answers without sight.

The model is shown the same grey image in place of each (evaluator.pixels.blank), so what it gets right beyond chance it
knows from the questions. Its baseline is a submission of its own, with the same files, that takes the ordinary way:
queue, runner, scorer, an unranked entry beside chance and majority.
"""

import hashlib
from uuid import UUID

from django.db import transaction

from evaluator.errors import InputError
from leaderboard import states
from leaderboard.asking import protocols_asked
from leaderboard.baselines import baseline_owner
from leaderboard.models import Entry, Evaluation, Model, Submission, User
from leaderboard.models.catalogue import RESERVED_PREFIX
from leaderboard.models.submissions import NO_IMAGE_OF, Leased, SubmissionKind
from leaderboard.queue import Queue, dispatch
from leaderboard.states import EvaluationState, SubmissionState

# What a baseline has of its own; all else, and what is added later, belongs to the artefact and is copied.
OWN = {"id", "model", "owner", "kind", "state", "publish", "facts", "idempotency_key", "created_at"} | {
    field.name for field in Leased._meta.local_fields
}
SLUG_LENGTH = 80


def ask_without_images(submission: Submission, *, by: User | None = None) -> list[Evaluation]:
    """Queue the no-image baseline of a checkpoint on every split that asks it anything and is neither answered nor
    being answered; returns the new evaluations. Those that failed or were cancelled are started anew; asking twice does
    nothing more.

    `by` is None at the command line. Raises InputError: not a checkpoint, not accepted, or not published, for the
    baseline names the model in public.
    """
    with transaction.atomic():
        checkpoint = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
        _require_published_checkpoint(checkpoint)
        baseline = _baseline_of(checkpoint, by)
        ended = (EvaluationState.FAILED, EvaluationState.CANCELLED)
        standing = set(baseline.evaluations.exclude(state__in=ended).values_list("split", flat=True))
        queued = []
        for split, protocol in protocols_asked(checkpoint.release, checkpoint.architecture).items():
            if split not in standing:
                evaluation = Evaluation.objects.create(submission=baseline, split=split, protocol=protocol)
                states.record(submission=baseline, evaluation=evaluation, to_state=evaluation.state, actor=_actor(by))
                queued.append(evaluation)
        if queued:
            dispatch.ring(Queue.EVALUATE)
    return queued


def _require_published_checkpoint(submission: Submission) -> None:
    if submission.kind != SubmissionKind.CHECKPOINT:
        message = f"Submission {submission.pk} is no checkpoint: only a model's weights can be asked anything."
        raise InputError.single("not_a_checkpoint", message)
    if submission.state != SubmissionState.ACCEPTED:
        message = f"Submission {submission.pk} is {submission.state}: its weights are not to be used."
        raise InputError.single("not_accepted", message)
    if not Entry.objects.filter(submission=submission, superseded_at=None).exists():
        message = f"Submission {submission.pk} is on no board, and its baseline would make its model known. "
        message += "Ask again once its author has published it."
        raise InputError.single("not_published", message)


def _baseline_of(checkpoint: Submission, by: User | None) -> Submission:
    """The baseline's submission, made when there is none: one per checkpoint, whoever asks and however often."""
    owner = baseline_owner()
    key = f"no-image {checkpoint.pk}"
    if (standing := Submission.objects.filter(owner=owner, idempotency_key=key).first()) is not None:
        if standing.state != SubmissionState.ACCEPTED:
            raise InputError.single("not_accepted", f"The baseline {standing.pk} is {standing.state}.")
        return standing
    baseline = Submission.objects.create(
        model=_model(checkpoint.model, owner), owner=owner, kind=SubmissionKind.BASELINE, publish=True,
        idempotency_key=key, facts={**checkpoint.facts, NO_IMAGE_OF: str(checkpoint.pk)},
        **{field.attname: getattr(checkpoint, field.attname)
           for field in Submission._meta.concrete_fields if field.name not in OWN},
    )  # fmt: skip
    for state in (SubmissionState.UPLOADED, SubmissionState.VALIDATING, SubmissionState.ACCEPTED):
        states.advance_submission(baseline, state, actor=_actor(by), note=f"no-image baseline of {checkpoint.pk}")
    return baseline


def _model(model: Model, owner: User) -> Model:
    baseline, _ = Model.objects.get_or_create(
        slug=_slug(model.slug), is_baseline=True,
        defaults={
            "name": f"no-image ({model.name})"[:200], "owner": owner, "architecture": model.architecture,
            "parameters": model.parameters,
            "description": f"What {model.name} answers when it is shown the same grey image in place of each: what the "
                           "questions alone give away to it, with no sight.",
        },
    )  # fmt: skip
    return baseline


def _slug(slug: str) -> str:
    whole = f"{RESERVED_PREFIX}no-image-{slug}"
    if len(whole) <= SLUG_LENGTH:
        return whole
    return f"{whole[: SLUG_LENGTH - 9]}-{hashlib.sha256(slug.encode()).hexdigest()[:8]}"


def _actor(by: User | None) -> UUID | None:
    return by.actor_id if by else None
