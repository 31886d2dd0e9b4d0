"""What every model must beat. In: an imported release; out: chance and majority as unranked entries of its boards.

They take the same way as everyone: a submission, evaluations with answers, the same scorer, published entries.
"""

from enum import StrEnum

import pyarrow.compute as pc
from django.db import transaction

from evaluator.answers import Protocol, write_answers
from evaluator.release.key import read_key
from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from evaluator.scoring.baselines import majority_answers
from leaderboard import states, storage
from leaderboard.models import Evaluation, Model, Release, Submission, User
from leaderboard.models.submissions import SubmissionKind
from leaderboard.queue import Queue, dispatch
from leaderboard.states import EvaluationState, SubmissionState

OWNER = "baselines"  # an account that nobody can sign in to


class Baseline(StrEnum):
    """The baselines of every release."""

    CHANCE = "chance"
    MAJORITY = "majority"


TITLES = {Baseline.CHANCE: "Chance", Baseline.MAJORITY: "Majority answer"}
DESCRIPTIONS = {
    Baseline.CHANCE: "Guesses among the options of each question; computed exactly, as 1 / options.",
    Baseline.MAJORITY: "Chooses what was right most often in dev, looking at no image.",
}


def register(release: Release) -> list[Submission]:
    """Submit, answer and ask to score and publish the baselines of a release. Without dev there is no majority."""
    kinds = [kind for kind in Baseline if kind is Baseline.CHANCE or Split.DEV in release.info["splits"]]
    return [_register(release, kind) for kind in kinds]


def _register(release: Release, kind: Baseline) -> Submission:
    answers = {split: _answers(release, kind, Split(split)) for split in release.info["splits"]}
    with transaction.atomic():
        submission = Submission.objects.create(
            model=_model(kind), owner=_owner(), release=release, kind=SubmissionKind.BASELINE, publish=True
        )
        for state in (SubmissionState.UPLOADED, SubmissionState.VALIDATING, SubmissionState.ACCEPTED):
            states.advance_submission(submission, state, note="baseline")
        for split, sha256 in answers.items():
            evaluation = Evaluation.objects.create(
                submission=submission, split=split, state=EvaluationState.ANSWERED, answers_sha256=sha256,
                protocol=_protocol(release, Split(split)), run={"baseline": kind},
            )  # fmt: skip
            states.record(submission=submission, evaluation=evaluation, to_state=evaluation.state)
        dispatch.ring(Queue.SCORE)
    return submission


def _answers(release: Release, kind: Baseline, split: Split) -> str:
    """SHA-256 of the stored answers; empty for chance, which has none: it is scored by expectation."""
    if kind is Baseline.CHANCE:
        return ""
    folder, keys = storage.release_folder(release), storage.key_folder(release, release.key_in_force.number)
    answers = majority_answers(
        read_questions(folder, Split.DEV), read_key(keys, Split.DEV), read_questions(folder, split)
    )
    with storage.work_folder("answers") as scratch:
        write_answers(answers, scratch / "answers.parquet")
        return storage.put_file(scratch / "answers.parquet").sha256


def _protocol(release: Release, split: Split) -> Protocol:
    """The form of the questions whose score is the headline: captions where the release has them."""
    variants = read_questions(storage.release_folder(release), split)["variant"]
    return Protocol.CAPTIONS if pc.any(pc.equal(variants, 1)).as_py() else Protocol.QUESTIONS


def _model(kind: Baseline) -> Model:
    model, _ = Model.objects.get_or_create(
        slug=f"baseline-{kind}", is_baseline=True,
        defaults={"name": TITLES[kind], "owner": _owner(), "description": DESCRIPTIONS[kind]},
    )  # fmt: skip
    return model


def _owner() -> User:
    owner, is_new = User.objects.get_or_create(username=OWNER, defaults={"is_active": False})
    if is_new:
        owner.set_unusable_password()
        owner.save()
    return owner
