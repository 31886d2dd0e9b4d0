"""How a study ends. In: a claim, what its documents were made from; out: the study done, or queued again where that has
changed meanwhile."""

from collections.abc import Callable

from django.db import transaction

from evaluator.errors import InputError
from leaderboard import states
from leaderboard.label_efficiency.material import Material, material_of
from leaderboard.models import Study, Submission
from leaderboard.queue import Queue, dispatch
from leaderboard.queue.claims import Claim
from leaderboard.states import StudyState, TransitionRefused


def require_material(study: Study) -> Material:
    """What the study is made from now. InputError `not_scored` when something is missing."""
    material = material_of(study.submission)
    if material is None:
        message = "Its embeddings or scores of dev and test are missing. Ask again once both splits are scored."
        raise InputError.single("not_scored", message)
    return material


def hold(claim: Claim) -> Study:
    """The study, locked to the end of the transaction. TransitionRefused when the claim is lost."""
    study = claim.held().select_for_update(no_key=True).first()
    if study is None:
        raise TransitionRefused(f"{claim.pk} is no longer held with token {claim.token}")
    return study


def still(study: Study, material: Material) -> bool:
    """Whether the submission's studies are made from the same now, as the database has it at this moment."""
    submission = Submission.objects.select_related("release__key_revision").get(pk=study.submission_id)
    return material_of(submission) == material


def finish(claim: Claim, material: Material, store: Callable[[], None], *, is_all: Callable[[Study], bool]) -> None:
    """Store and be done, or go back to the queue, unstored, when the key, the runs or what is wanted changed."""
    with transaction.atomic():
        study = hold(claim)
        if still(study, material):
            store()
            if is_all(study):
                states.advance_study(study, StudyState.DONE, held_token=claim.token, progress={})
                return
        states.advance_study(
            study, StudyState.QUEUED, held_token=claim.token, attempts=0, progress={},
            note="what it is made from, or what is wanted, changed meanwhile",
        )  # fmt: skip
        dispatch.ring(Queue.STUDY)
