"""Everything that a release could know of label efficiency. In: a release; out: studies asked for, line by line."""

from collections.abc import Collection, Iterator
from itertools import product
from uuid import UUID

from django.db.models import QuerySet

from evaluator.active_learning.names import Start, Strategy
from evaluator.release.tasks import dataset_slug
from leaderboard.label_efficiency import studies
from leaderboard.label_efficiency.encoders import reference_encoders
from leaderboard.label_efficiency.material import refusal
from leaderboard.label_efficiency.pools import fine_of
from leaderboard.models import Evaluation, Release, Study, Submission, User
from leaderboard.models.submissions import Purpose
from leaderboard.states import EVALUATION_ENDS, STUDY_ENDS, SubmissionState

COMMON_STARTS = (Start.RANDOM, Start.CENTROID)
FEWEST_SEEDS, MOST_SEEDS = 2, 200  # intervals are over seeds


def ask_track_a(release: Release, *, seeds: int | None = None, by: User | None = None) -> Iterator[str]:
    """The label efficiency of every checkpoint to which it applies, published or not."""
    rows = Submission.objects.filter(release=release, state=SubmissionState.ACCEPTED)
    for submission in rows.select_related("model", "release__key_revision").order_by("created_at"):
        if refusal(submission):
            continue
        for evaluation in studies.ask_to_embed(submission, by=by):
            yield f"to be embedded: {submission.model.slug} on {evaluation.split}"
        if study := studies.ask_efficiency(submission, seeds=seeds, by=by):
            yield f"label efficiency of {submission.model.slug}: {study.state}"


def ask_track_b(
    release: Release, *, datasets: Collection[str] = (), strategies: Collection[Strategy] = (),
    starts: Collection[Start] = (), seeds: int | None = None, by: User | None = None,
) -> Iterator[str]:  # fmt: skip
    """Strategies × starts on fine datasets by every reference encoder; empty: all strategies, the common starts, all
    datasets. datasets: slugs."""
    pairs = list(product(strategies or list(Strategy), starts or COMMON_STARTS))
    encoders = reference_encoders(release)
    if not encoders:
        yield "no model on the boards is a reference encoder: mark some on the organisers' page"
    for submission, name in product(encoders, fine_of(release).datasets):
        if datasets and dataset_slug(name) not in datasets:
            continue
        for evaluation in studies.ask_to_embed(submission, by=by):
            yield f"to be embedded: {submission.model.slug} on {evaluation.split}"
        if study := studies.ask_strategies(submission, name, pairs, seeds=seeds, by=by):
            yield f"{len(study.wanted)} strategies on {name} by {submission.model.slug}: {study.state}"


def dataset_slugs(release: Release) -> list[str]:
    """The fine datasets that can be studied."""
    return [dataset_slug(name) for name in fine_of(release).datasets]


def unfinished(release: Release) -> set[UUID]:
    """The studies, and the runs for embeddings, that have yet to end."""
    waiting = Study.objects.filter(submission__release=release).exclude(state__in=STUDY_ENDS)
    embeds = Evaluation.objects.filter(submission__release=release, purpose=Purpose.EMBED)
    embeds = embeds.exclude(state__in=EVALUATION_ENDS)
    return {*waiting.values_list("pk", flat=True), *embeds.values_list("pk", flat=True)}


def studies_of(pks: Collection[UUID]) -> QuerySet[Study]:
    """The studies among these."""
    return Study.objects.filter(pk__in=pks).select_related("submission__model").order_by("created_at")
