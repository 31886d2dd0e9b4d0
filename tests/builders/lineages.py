"""Tuned models with their bases, in every state that a page shows, with made-up documents where figures are needed."""

from typing import Any

from evaluator.scoring import report_digest
from leaderboard.lineage import links
from leaderboard.models import Analysis, Evaluation, Release, Report, Submission, User
from leaderboard.models.lineage import AnalysisKind, BaseLink
from leaderboard.models.submissions import Purpose
from leaderboard.states import EvaluationState
from tests.builders import analyses
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_evaluation, make_model

TARGET = ["stain=hematoxylin and eosin", "subdomain=cell biology"]


def make_pair(
    author: User, release: Release, name: str, base: Submission, *, publish: bool = True, target: list[str] = TARGET,
    seed: int = 5,
) -> Submission:  # fmt: skip
    """A tuned model with its base link; scored with the next drain of `score`."""
    tuned = make_answered(make_model(author, name), release, skill=0.6, seed=seed, publish=publish)
    links.declare(tuned, str(base.pk), target, by=author)
    return tuned


def link_of(tuned: Submission) -> BaseLink:
    """The base link in force."""
    return BaseLink.objects.get(submission=tuned, superseded_at=None)


def make_forgetting(tuned: Submission, document: dict[str, Any] | None = None, split: str = "test") -> Analysis:
    """The analysis of a pair on a split, in place of the one that stands."""
    link = link_of(tuned)
    document = {**(document or analyses.forgetting()), "split": split}
    return _make(link, AnalysisKind.FORGETTING, split, document, tuned_report=_report(tuned, split),
                 base_report=_report(link.base, split))  # fmt: skip


def make_sweep(tuned: Submission, state: str = EvaluationState.RUNNING, **fields: Any) -> Evaluation:
    """The sweep of a pair, in a state."""
    return make_evaluation(tuned, state, purpose=Purpose.SWEEP, base=link_of(tuned).base, **fields)


def make_interpolation(tuned: Submission, document: dict[str, Any] | None = None, split: str = "test") -> Analysis:
    """What a sweep gave, with the sweep."""
    sweep = make_sweep(tuned, EvaluationState.SCORED, split=split)
    return _make(link_of(tuned), AnalysisKind.INTERPOLATION, split, document or analyses.interpolation(), sweep=sweep)


def _make(link: BaseLink, kind: AnalysisKind, split: str, document: dict[str, Any], **made_from: Any) -> Analysis:
    Analysis.objects.filter(link=link, kind=kind, split=split).delete()
    return Analysis.objects.create(
        link=link, kind=kind, split=split, key_revision=link.submission.release.key_in_force, version="1",
        document=document, sha256=report_digest(document), **made_from,
    )  # fmt: skip


def _report(submission: Submission | None, split: str) -> Report | None:
    return Report.objects.filter(evaluation__submission=submission, evaluation__split=split).last()
