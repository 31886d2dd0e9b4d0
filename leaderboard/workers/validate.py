"""Validating a file. In: a claimed submission; out: accepted with its evaluations, or an InputError with every problem.

Sees the file, and of the release ids and options; never a hidden key. Weights are opened in a sandboxed child only.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.db import transaction

from evaluator.answers import Protocol, write_answers
from evaluator.architectures.registry import get_architecture
from evaluator.errors import InputError
from evaluator.predictions.check import check_file
from evaluator.release.schema import Split
from evaluator.sandbox import validate_in_child
from leaderboard import bases, states, storage
from leaderboard.asking import protocols_asked
from leaderboard.lineage import kinship
from leaderboard.models import Evaluation, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.queue import Queue, dispatch
from leaderboard.queue.claims import Claim
from leaderboard.states import EvaluationState, SubmissionState
from leaderboard.workers import merge


def validate(claim: Claim, should_stop: Callable[[], bool]) -> None:
    """Check the submission's file completely and accept it; raises InputError when it is wrong."""
    submission = Submission.objects.select_related("release", "owner", "model").get(pk=claim.pk)
    if submission.kind == SubmissionKind.CHECKPOINT:
        facts, evaluations = _check_checkpoint(submission, claim)
    else:
        facts, evaluations = _check_predictions(submission)
    with transaction.atomic():
        states.advance_submission(submission, SubmissionState.ACCEPTED, held_token=claim.token, facts=facts, attempts=0)
        for evaluation in evaluations:
            evaluation.save(force_insert=True)
            states.record(submission=submission, evaluation=evaluation, to_state=evaluation.state)
            dispatch.ring(Queue.SCORE if evaluation.state == EvaluationState.ANSWERED else Queue.EVALUATE)


def _check_checkpoint(submission: Submission, claim: Claim) -> tuple[dict[str, Any], list[Evaluation]]:
    if submission.is_derived and not submission.files:
        merge.make_file(submission, claim)
    with storage.local_files(submission) as weights, bases.local_base(submission) as base:
        facts = validate_in_child(weights, submission.architecture, base=base)
    bases.name_base(submission, facts)
    if not submission.is_derived:
        facts["looks_like"] = kinship.looks_like(submission, facts)
    return facts, _evaluations(submission)


def _evaluations(submission: Submission) -> list[Evaluation]:
    """One evaluation for each split that has anything to ask this kind of model; InputError where none has."""
    asked = protocols_asked(submission.release, submission.architecture)
    if not asked:
        family = get_architecture(submission.architecture).family
        message = (f"This release has nothing to ask a {family} model. Choose another release, or an architecture of "
                   "another family.")  # fmt: skip
        raise InputError.single("nothing_to_ask", message, field="release")
    return [Evaluation(submission=submission, split=split, protocol=protocol) for split, protocol in asked.items()]


def _check_predictions(submission: Submission) -> tuple[dict[str, Any], list[Evaluation]]:
    """The answers of a predictions file are stored at once: its evaluation is born answered."""
    with storage.local_files(submission) as path, storage.work_folder("answers") as folder:
        checked = check_file(path, storage.release_folder(submission.release), Split(submission.split))
        write_answers(checked.answers, folder / "answers.parquet")
        answers = storage.put_file(folder / "answers.parquet")
    evaluation = Evaluation(
        submission=submission, split=submission.split, state=EvaluationState.ANSWERED,
        protocol=Protocol.SELF_REPORTED, answers_sha256=answers.sha256,
    )  # fmt: skip
    return asdict(checked.facts), [evaluation]
