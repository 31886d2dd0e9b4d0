"""Scoring answers. In: a claimed evaluation with stored answers; out: its report, key material beside the keys.

Reads KEY_ROOT; never weights, never a submitted file other than parsed answers.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from django.db import transaction

from evaluator.answers import read_answers
from evaluator.release.key import read_key
from evaluator.release.read import read_info, read_questions
from evaluator.release.schema import Split
from evaluator.scoring import SCORER_VERSION, Scored, report_digest
from evaluator.scoring import score as score_answers
from evaluator.scoring.baselines import score_chance
from leaderboard import publication, states, storage
from leaderboard.baselines import Baseline
from leaderboard.label_efficiency import studies
from leaderboard.lineage import analyses, pairs, requests
from leaderboard.models import Evaluation, KeyRevision, Report, Submission
from leaderboard.models.submissions import Purpose
from leaderboard.queue.claims import Claim
from leaderboard.states import EvaluationState


def score(claim: Claim, should_stop: Callable[[], bool]) -> None:
    """Score the evaluation against the key in force, and publish its report when its author asked for that."""
    evaluation = Evaluation.objects.select_related("submission__release__key_revision", "submission__owner").get(
        pk=claim.pk
    )
    if evaluation.purpose == Purpose.SWEEP:
        _score_sweep(evaluation, claim)
        return
    if evaluation.purpose == Purpose.EMBED:
        _embedded(evaluation, claim)
        return
    revision = evaluation.submission.release.key_in_force
    scored = compute(evaluation, revision)
    with transaction.atomic():
        # The submission first, as whoever withdraws it does: neither waits for the other forever.
        submission = Submission.objects.select_for_update(no_key=True).get(pk=evaluation.submission_id)
        report = store(evaluation, revision, scored)
        states.advance_evaluation(evaluation, EvaluationState.SCORED, held_token=claim.token)
        if submission.publish:
            publication.publish(report, by=submission.owner)
        studies.ask_efficiency(submission)


def _embedded(evaluation: Evaluation, claim: Claim) -> None:
    """A run for embeddings alone has no report: what it gives is what studies are made from."""
    with transaction.atomic():
        submission = Submission.objects.select_for_update(no_key=True).get(pk=evaluation.submission_id)
        states.advance_evaluation(evaluation, EvaluationState.SCORED, held_token=claim.token)
        studies.ask_efficiency(submission)


def _score_sweep(evaluation: Evaluation, claim: Claim) -> None:
    """A sweep has no report: what it gives is the interpolation of its link."""
    link = pairs.in_force(evaluation.submission)
    if link is not None:
        analyses.bring_up_to_date(link)
    states.advance_evaluation(evaluation, EvaluationState.SCORED, held_token=claim.token)


def compute(evaluation: Evaluation, revision: KeyRevision) -> Scored:
    """The scores of stored answers under one key revision: a pure function of what is stored."""
    release, split = evaluation.submission.release, Split(evaluation.split)
    folder = storage.release_folder(release)
    asked = (
        read_info(folder), split, read_questions(folder, split),
        read_key(storage.key_folder(release, revision.number), split),
    )  # fmt: skip
    how: dict[str, Any] = {"protocol": evaluation.protocol, "key_revision": revision.number}
    if evaluation.run.get("baseline") == Baseline.CHANCE:
        return score_chance(*asked, **how)
    with storage.local_path(evaluation.answers_sha256) as path:
        return score_answers(*asked, read_answers(path), **how)


def store(evaluation: Evaluation, revision: KeyRevision, scored: Scored) -> Report:
    """Keep a report and its derived key material; one per evaluation, key revision and scorer version.

    Runs inside the caller's transaction: the files stand in place before the row can be seen.
    """
    report, created = Report.objects.get_or_create(
        evaluation=evaluation, key_revision=revision, scorer=SCORER_VERSION,
        defaults={"document": scored.report, "sha256": report_digest(scored.report)},
    )  # fmt: skip
    if created:
        _write_derived(storage.derived_folder(report), scored)
        requests.request_for(evaluation.submission)
    return report


def _write_derived(folder: Path, scored: Scored) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # of a transaction that was rolled back
    folder.mkdir(parents=True, mode=0o700)
    np.save(folder / storage.CORRECT, scored.correct)
    replicates: dict[str, Any] = {str(variant): values for variant, values in scored.replicates.items()}
    np.savez(folder / storage.REPLICATES, **replicates)
