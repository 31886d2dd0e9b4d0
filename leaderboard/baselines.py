"""What every model must beat. In: an imported release; out: chance, majority, colour as unranked entries of it.

They take the same way as everyone: a submission, evaluations with answers, the same scorer, published entries.
"""

from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from django.db import transaction

from evaluator.answers import Protocol, write_answers
from evaluator.pixels.read import read_image
from evaluator.release.key import read_key
from evaluator.release.read import item_ids, read_items, read_questions
from evaluator.release.schema import Split
from evaluator.scoring.baselines import majority_answers
from evaluator.scoring.histogram import Pictures, histogram_answers, histograms
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
    COLOUR = "colour"


TITLES = {Baseline.CHANCE: "Chance", Baseline.MAJORITY: "Majority answer", Baseline.COLOUR: "Nearest colours"}
DESCRIPTIONS = {
    Baseline.CHANCE: "Guesses among the options of each question; computed exactly, as 1 / options.",
    Baseline.MAJORITY: "Chooses what was right most often in dev, looking at no image.",
    Baseline.COLOUR: "Answers as the dev image with the most similar colour histogram was answered; in dev itself, the "
    "nearest image of another source.",
}


def register(release: Release) -> list[Submission]:
    """Submit, answer and ask to score and publish the baselines of a release. Without dev only chance is left."""
    kinds = [kind for kind in Baseline if kind is Baseline.CHANCE or Split.DEV in release.info["splits"]]
    return [_register(release, kind) for kind in kinds]


def _register(release: Release, kind: Baseline) -> Submission:
    answers = _answers(release, kind)
    with transaction.atomic():
        submission = Submission.objects.create(
            model=_model(kind), owner=baseline_owner(), release=release, kind=SubmissionKind.BASELINE, publish=True
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


def _answers(release: Release, kind: Baseline) -> dict[str, str]:
    """SHA-256 of the stored answers of each split; empty for chance, which has none: it is scored by expectation."""
    splits = [Split(split) for split in release.info["splits"]]
    if kind is Baseline.CHANCE:
        return {split.value: "" for split in splits}
    folder, keys = storage.release_folder(release), storage.key_folder(release, release.key_in_force.number)
    learned = read_questions(folder, Split.DEV), read_key(keys, Split.DEV)
    if kind is Baseline.MAJORITY:
        return {split.value: _stored(majority_answers(*learned, read_questions(folder, split))) for split in splits}
    dev = _pictures(folder, Split.DEV, learned[1])
    stored = {}
    for split in splits:
        asked = dev if split is Split.DEV else _pictures(folder, split, None)
        stored[split.value] = _stored(histogram_answers(*learned, dev, read_questions(folder, split), asked))
    return stored


def _stored(answers: pa.Table) -> str:
    with storage.work_folder("answers") as scratch:
        write_answers(answers, scratch / "answers.parquet")
        return storage.put_file(scratch / "answers.parquet").sha256


def _pictures(folder: Path, split: Split, key: pa.Table | None) -> Pictures:
    """The images of a split as colours; with a key also their sources, which only dev needs."""
    items = read_items(folder, split)
    sources = None
    if key is not None:
        source_of = dict(zip(item_ids(key).to_pylist(), key["source"].to_pylist(), strict=True))
        sources = [source_of[item] for item in item_ids(items).to_pylist()]
    found = histograms(read_image(folder / file) for file in items["file"].to_pylist())
    return Pictures(ids=item_ids(items).to_pylist(), sources=sources, histograms=found)


def _protocol(release: Release, split: Split) -> Protocol:
    """The form of the questions whose score is the headline: captions where the release has them."""
    variants = read_questions(storage.release_folder(release), split)["variant"]
    return Protocol.CAPTIONS if pc.any(pc.equal(variants, 1)).as_py() else Protocol.QUESTIONS


def _model(kind: Baseline) -> Model:
    model, _ = Model.objects.get_or_create(
        slug=f"baseline-{kind}", is_baseline=True,
        defaults={"name": TITLES[kind], "owner": baseline_owner(), "description": DESCRIPTIONS[kind]},
    )  # fmt: skip
    return model


def baseline_owner() -> User:
    """The account that baselines belong to."""
    owner, is_new = User.objects.get_or_create(username=OWNER, defaults={"is_active": False})
    if is_new:
        owner.set_unusable_password()
        owner.save()
    return owner
