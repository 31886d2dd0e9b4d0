"""What a person may read of where a submission comes from. In: a user and a submission; out: Lineage.

Owner and staff read everything; others what stands between two published reports. A base that its own author kept
private is public as a base alone: its figures within the analyses of that author's published model.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from evaluator.errors import InputError
from evaluator.release.schema import Split
from leaderboard import permissions
from leaderboard.lineage import pairs
from leaderboard.lineage.kinship import Kinship, Suggestion, of_link, suggested
from leaderboard.models import Analysis, BaseLink, Entry, Evaluation, Model, Release, Submission
from leaderboard.models.lineage import AnalysisKind
from leaderboard.permissions import Action, AnyUser
from leaderboard.states import SubmissionState


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """All that the reader may read. forgetting: by split. not_applicable: why the two cannot be merged, if so."""

    tuned: Submission
    link: BaseLink | None = None
    forgetting: dict[str, Analysis] = field(default_factory=dict)
    interpolation: Analysis | None = None
    sweep: Evaluation | None = None
    derived: list[Submission] = field(default_factory=list)  # merges of the pair that the reader may see
    history: list[BaseLink] = field(default_factory=list)  # earlier declarations, newest first
    not_applicable: tuple[str, str] | None = None  # code, sentence
    kinship: Kinship | None = None  # of the two checkpoints' weights, for who may change the link
    suggestions: list[Suggestion] = field(default_factory=list)
    may_change: bool = False

    @property
    def base(self) -> Submission | None:
        return self.link.base if self.link else None

    @property
    def base_model(self) -> Model | None:
        return self.link.model if self.link else None

    @property
    def sweeping(self) -> bool:
        """Whether the sweep is going on."""
        return pairs.is_going_on(self.sweep)


def of_submission(user: AnyUser, submission: Submission) -> Lineage:
    """What `user`, who may see the submission, may read of its lineage."""
    inspects = permissions.may(user, Action.INSPECT, submission)
    links = list(BaseLink.objects.filter(submission=submission).select_related("model", "base__model", "base__owner"))
    link = next((each for each in links if each.superseded_at is None), None)
    if not inspects and (link is None or not _is_public(link, submission)):
        return Lineage(tuned=submission)
    analyses = list(Analysis.objects.filter(link=link, superseded_at=None)) if link else []
    shown = analyses if inspects else [each for each in analyses if _published(each, link)]
    sweep = pairs.latest_sweep(submission, link.base) if link and link.base else None
    return Lineage(
        tuned=submission, link=link, may_change=inspects and submission.state != SubmissionState.WITHDRAWN,
        forgetting={each.split: each for each in shown if each.kind == AnalysisKind.FORGETTING},
        interpolation=next((each for each in shown if each.kind == AnalysisKind.INTERPOLATION), None),
        sweep=sweep if inspects else None, derived=_derived(user, submission),
        not_applicable=_refusal(link, submission),
        history=[each for each in links if each.superseded_at is not None],
        kinship=of_link(link) if inspects and link else None,
        suggestions=suggested(user, submission) if inspects else [],
    )  # fmt: skip


def of_model(user: AnyUser, model: Model) -> list[Lineage]:
    """Of the submission that stands for the model on each release, the newest release first: the one its author shows,
    else the latest that the reader may see."""
    visible = permissions.visible_to(user, model.submissions.select_related("model", "owner", "release"))
    rows = visible.filter(state=SubmissionState.ACCEPTED).order_by("-release_id", "-created_at")
    chosen: dict[int, Submission] = {}
    for row in rows:
        if row.release_id not in chosen or row.pk == model.shown_submission_id:
            chosen[row.release_id] = row
    return [of_submission(user, submission) for submission in chosen.values()]


def gains_of_release(release: Release, split: Split) -> list[Analysis]:
    """The published analyses of models with a significant gain in their target, by retained share, largest first."""
    found = [each for each in published_forgetting(release, split) if _gains(each.document)]
    return sorted(found, key=_retained, reverse=True)


def published_forgetting(release: Release, split: Split) -> list[Analysis]:
    """Every forgetting analysis of a split that anyone may read, of the submissions that stand on its boards."""
    rows = _in_force(AnalysisKind.FORGETTING).filter(link__submission__release=release, split=split)
    related = rows.select_related("link__submission__model", "link__model", "link__base__model", "link__base__owner")
    return [
        each for each in related
        if "not_applicable" not in each.document and _published(each, each.link) and _is_shown(each.link.submission)
    ]  # fmt: skip


def _in_force(kind: AnalysisKind) -> QuerySet[Analysis]:
    return Analysis.objects.filter(kind=kind, superseded_at=None, link__superseded_at=None)


def _gains(document: dict[str, Any]) -> bool:
    inside = document["headline"]["inside"]
    return inside is not None and inside["delta"]["low"] is not None and inside["delta"]["low"] > 0


def _retained(analysis: Analysis) -> float:
    """The retained share; models without one come last."""
    estimate = analysis.document["headline"]["retained_share"]["estimate"]
    return -math.inf if estimate is None else float(estimate)


def _is_public(link: BaseLink, submission: Submission) -> bool:
    """Whether the pair may be named to everyone: the base was published, or is its author's own private one."""
    if link.base is None:
        return permissions.is_known(link.model)
    return _own_private(link, submission) or permissions.was_published(link.base)


def _published(analysis: Analysis, link: BaseLink | None) -> bool:
    """Whether both sides' reports of the split stand on boards now (a private base stands on none)."""
    assert link is not None and link.base is not None, "an analysis has two sides"
    live = Entry.objects.filter(split=analysis.split, superseded_at=None)
    base_is_open = _own_private(link, link.submission) or live.filter(submission=link.base).exists()
    return base_is_open and live.filter(submission=link.submission).exists()


def _own_private(link: BaseLink, submission: Submission) -> bool:
    return link.base is not None and link.base.kept_private and link.base.owner_id == submission.owner_id


def _is_shown(submission: Submission) -> bool:
    """Whether it is the one that stands for its model on boards."""
    chosen = submission.model.shown_submission_id
    if chosen is not None:
        return chosen == submission.pk
    live = Entry.objects.filter(model=submission.model, release=submission.release, superseded_at=None)
    latest = live.order_by("-published_at", "-pk").first()
    return latest is not None and latest.submission_id == submission.pk


def _derived(user: AnyUser, submission: Submission) -> list[Submission]:
    merges = Submission.objects.filter(merge__parts__contains=[{"submission": str(submission.pk)}])
    return list(permissions.visible_to(user, merges.select_related("model")).order_by("-created_at"))


def _refusal(link: BaseLink | None, submission: Submission) -> tuple[str, str] | None:
    if link is None:
        return None
    try:
        pairs.require_pair(link, submission)
    except InputError as error:
        return error.problems[0].code, error.problems[0].message
    return None
