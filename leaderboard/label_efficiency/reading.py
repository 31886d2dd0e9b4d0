"""What a person may read of label efficiency. In: a user and a release or submission; out: rows, documents, states.

Like reports: owner and staff read everything, others what stands on the boards of the evaluated split.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from uuid import UUID

from django.db.models import Count, Max
from django.http import Http404

from evaluator.release.tasks import dataset_slug
from leaderboard import permissions
from leaderboard.boards.entries import LiveEntry
from leaderboard.label_efficiency import board as boards
from leaderboard.label_efficiency import comparing
from leaderboard.label_efficiency.encoders import on_boards, reference_encoders
from leaderboard.label_efficiency.material import is_scored, refusal, without_embeddings
from leaderboard.label_efficiency.pools import EVALUATED
from leaderboard.label_efficiency.rows import (
    Comparison,
    Comparisons,
    EfficiencyBoard,
    EfficiencyCell,
    EfficiencyDataset,
    EfficiencyRow,
    Standing,
    Status,
)
from leaderboard.models import Entry, Evaluation, LabelEfficiency, Release, Study, Submission
from leaderboard.models.label_efficiency import StudyKind
from leaderboard.models.submissions import Purpose
from leaderboard.permissions import Action, AnyUser
from leaderboard.states import EVALUATION_ENDS, STUDY_ENDS, StudyState

__all__ = [
    "Comparison", "Comparisons", "EfficiencyBoard", "EfficiencyCell", "EfficiencyDataset", "EfficiencyRow", "Standing",
    "Status", "board", "comparisons", "of_submission", "slug_of", "state_of",
]  # fmt: skip


def of_submission(user: AnyUser, submission: Submission) -> list[LabelEfficiency]:
    """What is in force of the submission, which `user` may see, by dataset; nothing while it may not be read."""
    if not may_read(user, submission):
        return []
    rows = LabelEfficiency.objects.filter(submission=submission, superseded_at=None)
    return list(rows.select_related("key_revision").order_by("dataset"))


def may_read(user: AnyUser, submission: Submission) -> bool:
    """Whether `user` may read what its embeddings gave: owner and staff, others while it stands on the boards."""
    live = Entry.objects.filter(submission=submission, split=EVALUATED, superseded_at=None)
    return permissions.may(user, Action.INSPECT, submission) or live.exists()


def state_of(submission: Submission, *, user: AnyUser | None = None) -> Status:
    """Where its label efficiency stands. What failed, and why, is told to a `user` who may inspect it."""
    if reason := refusal(submission):
        return Status(standing=Standing.NOT_APPLICABLE, reason=reason)
    latest = submission.studies.filter(kind=StudyKind.EFFICIENCY).order_by("created_at").last()
    if latest is not None and latest.state == StudyState.RUNNING:
        return Status(standing=Standing.RUNNING, progress=latest.progress)
    if LabelEfficiency.objects.filter(submission=submission, superseded_at=None).exists():
        return Status(standing=Standing.DONE)
    if latest is not None and latest.state == StudyState.FAILED:
        told = user is not None and permissions.may(user, Action.INSPECT, submission)
        return Status(standing=Standing.FAILED, reason=latest.failure_message if told else FAILED)
    if latest is None and is_scored(submission) and without_embeddings(submission):
        return Status(standing=Standing.WAITING, reason=NO_EMBEDDINGS)
    return Status(standing=Standing.WAITING)


def board(user: AnyUser, release: Release, dataset: str | None = None) -> EfficiencyBoard:
    """Encoders on the boards of a release that `user` may see, by label efficiency: over all ranked datasets, or on one
    (a slug). Raises Http404 for a dataset that the release lacks."""
    entries = on_boards(release)
    table = _table(release.slug, release.key_revision_id, tuple(entries), _content(release), dataset)
    if table is None:
        raise Http404("there is no such dataset")
    return replace(table, waiting=_waiting([entry.submission for entry in entries]))


def comparisons(user: AnyUser, release: Release, dataset: str | None = None) -> Comparisons:
    """Query strategies compared on the reference encoders of a release that `user` may see; dataset: a slug, to leave
    out others. They stand on the boards, so everyone who may see the release may read them."""
    encoders = reference_encoders(release)
    found = comparing.compare_all(release, encoders, dataset)
    live = Study.objects.filter(submission__in=encoders, kind=StudyKind.STRATEGIES).exclude(state__in=STUDY_ENDS)
    return Comparisons(
        found=found, encoders=[(each.model.slug, each.model.name) for each in encoders],
        datasets=list(dict.fromkeys((each.dataset, each.title) for each in found if each.dataset)),
        waiting=live.count(),
    )  # fmt: skip


def _content(release: Release) -> tuple[int, int]:
    """Changes whenever a document is added or superseded."""
    live = LabelEfficiency.objects.filter(submission__release=release, superseded_at=None)
    found = live.aggregate(n=Count("pk"), latest=Max("pk"))
    return found["n"], found["latest"] or 0


@lru_cache(maxsize=64)
def _table(
    slug: str, key_revision: int, entries: tuple[LiveEntry, ...], content: tuple[int, int], dataset: str | None
) -> EfficiencyBoard | None:  # fmt: skip
    """A board without what waits, computed once for all readers of these entries and documents: it is made of every
    document of the release. None where the release lacks the dataset."""
    release = Release.objects.select_related("key_revision").get(slug=slug)
    rows = boards.in_force(entries)
    datasets = boards.datasets_of(release, rows)
    if dataset is not None and dataset not in {each.slug for each in datasets}:
        return None
    made, resolvable = boards.board_rows(release, entries, rows, datasets, dataset)
    documents = [row.document for each in rows.values() for row in each]
    return EfficiencyBoard(
        release=slug, split=EVALUATED, dataset=dataset, rows=made, datasets=datasets, waiting=0,
        resolvable_difference=resolvable, seeds=max((document["seeds"] for document in documents), default=None),
        per_class=tuple(sorted({each["per_class"] for document in documents for each in document["budgets"]})),
    )  # fmt: skip


def slug_of(row: LabelEfficiency) -> str:
    """Its dataset as it stands in addresses."""
    return dataset_slug(row.dataset)


def _waiting(submissions: Iterable[str]) -> int:
    """Of the submissions on the boards, those with a study or a run for embeddings that has yet to end."""
    live = Study.objects.filter(kind=StudyKind.EFFICIENCY).exclude(state__in=STUDY_ENDS)
    embeds = Evaluation.objects.filter(purpose=Purpose.EMBED).exclude(state__in=EVALUATION_ENDS)
    chosen = list(map(UUID, submissions))
    waits = [rows.filter(submission__in=chosen).values_list("submission_id", flat=True) for rows in (live, embeds)]
    return len({pk for found in waits for pk in found})


FAILED = "It could not be measured; organisers see why."
NO_EMBEDDINGS = "Its image embeddings were not kept when it was answered; organisers can have them computed."
