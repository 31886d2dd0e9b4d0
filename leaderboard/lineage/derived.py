"""Merges as submissions of their own. In: parents and weights; out: a derived submission, linked to its parents.

It takes the ordinary way; only its file is made by the validator (leaderboard.workers.merge) instead of sent. It
stands unranked on boards.
"""

from collections.abc import Sequence

from django.db import transaction

from evaluator.errors import InputError, Problem
from leaderboard import intake, quota, states, submissions
from leaderboard.lineage import links, pairs
from leaderboard.lineage.pairs import Parent
from leaderboard.models import Submission, User
from leaderboard.models.submissions import SubmissionKind
from leaderboard.queue import Queue, dispatch
from leaderboard.states import SubmissionState

FEWEST_PARTS, MOST_PARTS = 2, 20  # of a soup
DECIMALS = 6


def submit_merge(submission: Submission, alpha: float, model: str, *, by: User) -> Submission:
    """Submit (1 − α)·base + α·tuned as `model`. InputError where there is no pair, or α is no place between the two."""
    base = pairs.require_pair(link := pairs.in_force(submission), submission)
    alpha = round(alpha, DECIMALS)
    if not 0 < alpha < 1:
        message = "α must lie between 0 (the base itself) and 1 (the tuned model itself), such as 0.5."
        raise InputError.single("alpha", message, field="alpha")
    parents = [
        Parent(submission=base, weight=round(1 - alpha, DECIMALS)), Parent(submission=submission, weight=alpha)
    ]  # fmt: skip
    assert link is not None, "require_pair refuses a submission without a base"
    return _submit(parents, model, base, link.target, by=by, alpha=alpha)


def submit_soup(fine_tunes: Sequence[Submission], model: str, *, by: User) -> Submission:
    """Submit the uniform mean of several fine-tunes of one base as `model` (Wortsman et al., 2022)."""
    problems = list(intake.model_problems(model))
    if not FEWEST_PARTS <= len({found.pk for found in fine_tunes}) <= MOST_PARTS:
        message = f"A soup takes {FEWEST_PARTS} to {MOST_PARTS} different checkpoints."
        problems.append(Problem(code="soup_parts", field="parts", message=message))
    if problems:
        raise InputError(problems)
    named = [pairs.in_force(found) for found in fine_tunes]
    base = pairs.require_pair(named[0], fine_tunes[0])
    for found, link in zip(fine_tunes, named, strict=True):
        if pairs.require_pair(link, found) != base:
            message = "These were not tuned from one base, so their mean means nothing. Choose fine-tunes of one base."
            raise InputError.single("soup_other_base", message, field="parts")
    weight = 1 / len(fine_tunes)
    return _submit([Parent(submission=found, weight=weight) for found in fine_tunes], model, base, [], by=by)


def _submit(
    parents: Sequence[Parent], model: str, base: Submission, target: list[str], *, by: User, alpha: float | None = None
) -> Submission:
    architecture = parents[-1].submission.architecture
    if problems := list(intake.model_problems(model)):
        raise InputError(problems)
    merge = {
        "parts": [{"submission": str(parent.submission.pk), "weight": parent.weight} for parent in parents],
        "alpha": alpha,
    }  # fmt: skip
    with transaction.atomic():
        derived = Submission.objects.create(
            model=submissions.model_named(by, model, architecture=architecture, base=base.model), owner=by,
            release=base.release, kind=SubmissionKind.CHECKPOINT, architecture=architecture, merge=merge,
        )  # fmt: skip
        quota.take(by, derived)
        note = "merge of " + ", ".join(f"{parent.submission.model} × {parent.weight:g}" for parent in parents)
        states.advance_submission(derived, SubmissionState.UPLOADED, actor=by.actor_id, note=note)
        links.declare(derived, str(base.pk), target, by=by)
        dispatch.ring(Queue.VALIDATE)
    return derived
