"""What a person may read of one submission, for its page and the API alike. In: a user and a submission; out: Detail.

Owner and staff read everything; after publication others read the published reports, facts and plain events, and never
logs, worker names, problems, failures or files.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch

from evaluator.release.schema import Split
from leaderboard import permissions
from leaderboard.models import Entry, Evaluation, Event, Report, Submission
from leaderboard.models.submissions import Purpose
from leaderboard.permissions import Action, AnyUser
from leaderboard.queue import Queue, claims
from leaderboard.states import EvaluationState
from leaderboard.submissions import combined_state

PUBLIC_FACTS = ("parameters", "tensors", "dtypes", "tolerated", "base", "adapter", "rows", "abstained")
# Kept for comparing weights, or shown beside the facts already.
UNREAD_FACTS = ("tensor_hashes", "sketch", "looks_like", "canonical_hash", "sha256", "file_bytes", "architecture")
SPLIT_ORDER = (Split.TEST, Split.SEALED, Split.DEV)  # hidden ones first: they are what counts


@dataclass(frozen=True, kw_only=True)
class EvaluationDetail:
    """The latest evaluation of one split."""

    evaluation: Evaluation
    report: Report | None  # the one to be read: published for others, latest for the owner
    entry: Entry | None  # live
    ahead: int | None  # evaluations that wait in front of it


@dataclass(frozen=True, kw_only=True)
class Detail:
    """All that the reader may read; `inspects` says that it is all there is."""

    submission: Submission
    state: str  # the combined line
    inspects: bool
    evaluations: list[EvaluationDetail]
    events: list[Event]
    facts: dict[str, Any]
    withdrawn: bool  # it was on the boards once

    @property
    def reports(self) -> dict[str, Report]:
        """Report by split."""
        return {found.evaluation.split: found.report for found in self.evaluations if found.report}

    @property
    def unpublished(self) -> list[EvaluationDetail]:
        """Scored, and not on the boards with this report; nothing of a base that is kept private ever is."""
        if self.submission.kept_private:
            return []
        return [
            found for found in self.evaluations
            if found.report and (found.entry is None or found.entry.report_id != found.report.pk)
        ]  # fmt: skip

    @property
    def moves(self) -> bool:
        """Whether its state can change without anyone's doing."""
        return self.state in ("uploading", "uploaded", "validating", "queued", "running", "scoring")


def read_detail(user: AnyUser, submission: Submission) -> Detail:
    """Everything `user`, who may see the submission, may read of it."""
    inspects = permissions.may(user, Action.INSPECT, submission)
    reports = Prefetch("reports", Report.objects.select_related("key_revision").order_by("pk"))
    scored = submission.evaluations.filter(purpose=Purpose.SCORE).prefetch_related(reports)
    evaluations = {found.split: found for found in scored.order_by("created_at")}  # a retry follows what it retries
    entries = list(Entry.objects.filter(submission=submission).order_by("published_at"))
    live = {entry.split: entry for entry in entries if entry.superseded_at is None}
    details = [
        _evaluation(evaluations[split], live.get(split), inspects) for split in SPLIT_ORDER if split in evaluations
    ]
    facts = {
        name: value for name, value in submission.facts.items()
        if (name not in UNREAD_FACTS if inspects else name in PUBLIC_FACTS)
    }  # fmt: skip
    if "base" in facts:
        facts["base"] = _known_base(user, facts["base"])
    return Detail(
        submission=submission, state=combined_state(submission), inspects=inspects, facts=facts,
        evaluations=details if inspects else [found for found in details if found.report],
        events=list(submission.events.select_related("evaluation")) if inspects else _public_events(submission),
        withdrawn=any(entry.withdrawn for entry in entries),
    )  # fmt: skip


def _known_base(user: AnyUser, base: dict[str, str]) -> dict[str, str]:
    """What an adapter stands on, without the id of a submission that the reader may not know of."""
    named = base.get("submission")
    if named and not permissions.visible_to(user, Submission.objects.filter(pk=named)).exists():
        return {"sha256": base["sha256"]}
    return base


def _evaluation(found: Evaluation, entry: Entry | None, inspects: bool) -> EvaluationDetail:
    reports = list(found.reports.all())
    published = next((report for report in reports if entry and report.pk == entry.report_id), None)
    ahead = None
    if inspects and found.state == EvaluationState.QUEUED:
        before = claims.waiting(Queue.EVALUATE).exclude(purpose=Purpose.EMBED)  # these come last
        ahead = before.filter(created_at__lt=found.created_at).count()
    latest = reports[-1] if reports else None
    return EvaluationDetail(evaluation=found, entry=entry, report=latest if inspects else published, ahead=ahead)


def _public_events(submission: Submission) -> list[Event]:
    """Events without notes, and without evaluations that were never published."""
    published = Entry.objects.filter(submission=submission).values("report__evaluation")
    events = submission.events.filter(evaluation=None) | submission.events.filter(evaluation__in=published)
    return [
        Event(submission=submission, evaluation=event.evaluation, to_state=event.to_state, at=event.at)
        for event in events.select_related("evaluation").order_by("id")
    ]
