"""Scoring again. In: stored answers; out: reports by the key and scorer in force, or the numbers that differ.

Needs no GPU and no weights: answers + key → report is a pure function.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.db.models import F, QuerySet

from evaluator.analyses import ANALYSIS_VERSION
from evaluator.scoring import SCORER_VERSION, canonical_json, report_digest
from leaderboard import publication, storage
from leaderboard.label_efficiency import studies, verifying
from leaderboard.lineage import analyses
from leaderboard.models import (
    Analysis,
    BaseLink,
    Entry,
    Evaluation,
    LabelEfficiency,
    Release,
    Report,
    StrategyRun,
    Study,
)
from leaderboard.models.submissions import Purpose
from leaderboard.states import EvaluationState
from leaderboard.workers import score

LINK_SIDES = ("submission__release__key_revision", "submission__model", "base__model")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A published number that recomputing does not give."""

    of: Entry | Analysis | LabelEfficiency | StrategyRun
    what: str


def stale_evaluations(release: Release | None = None) -> QuerySet[Evaluation]:
    """Scored evaluations without a report of the key revision and scorer in force."""
    fresh = Report.objects.filter(
        key_revision=F("evaluation__submission__release__key_revision"), scorer=SCORER_VERSION
    )
    scored = Evaluation.objects.filter(state=EvaluationState.SCORED, purpose=Purpose.SCORE).exclude(reports__in=fresh)
    scored = scored.filter(submission__release=release) if release else scored
    return scored.select_related("submission__release__key_revision", "submission__model")


def rescore(evaluation: Evaluation) -> Report:
    """Score stored answers again; where the evaluation stands on a board, its new report takes the old one's place."""
    revision = evaluation.submission.release.key_in_force
    scored = score.compute(evaluation, revision)
    with transaction.atomic():
        report = score.store(evaluation, revision, scored)
        if Entry.objects.filter(report__evaluation=evaluation, superseded_at=None).exists():
            publication.publish(report, by=None)
        studies.ask_efficiency(evaluation.submission)
    return report


def refresh_analyses(release: Release | None = None) -> list[Analysis]:
    """Compute the analyses that are missing or of an earlier key, report or version."""
    links = BaseLink.objects.filter(superseded_at=None).select_related(*LINK_SIDES)
    links = links.filter(submission__release=release) if release else links
    return [made for link in links for made in analyses.bring_up_to_date(link)]


def refresh_studies(release: Release | None = None) -> list[Study]:
    """Ask for the studies of what an earlier key, run or version made, or that was never measured."""
    return studies.refresh(release)


def verify_studies(
    release: Release | None = None,
) -> Iterator[tuple[LabelEfficiency | StrategyRun, list[Difference]]]:
    """Train and mark the heads of every document in force again, and compare."""
    for row, differences in verifying.verify(release):
        yield row, [Difference(of=row, what=what) for what in differences]


def verify_analyses(release: Release | None = None) -> Iterator[tuple[Analysis, list[Difference]]]:
    """Recompute every analysis in force from stored answers and compare its bytes."""
    live = Analysis.objects.filter(superseded_at=None, link__superseded_at=None).select_related(
        "tuned_report", "base_report", "sweep__submission__release", "key_revision",
        *(f"link__{side}" for side in LINK_SIDES),
    )  # fmt: skip
    for analysis in live.filter(link__submission__release=release) if release else live:
        yield analysis, list(_analysis_differences(analysis))


def verify(release: Release | None = None) -> Iterator[tuple[Entry, list[Difference]]]:
    """Recompute every live entry from its stored answers and compare: the report's bytes, the correctness bits."""
    live = Entry.objects.filter(superseded_at=None).select_related(
        "report__key_revision", "report__evaluation__submission__release", "model"
    )
    for entry in live.filter(release=release) if release else live:
        yield entry, list(_differences(entry))


def _differences(entry: Entry) -> Iterator[Difference]:
    report = entry.report
    if report.scorer != SCORER_VERSION:
        yield Difference(of=entry, what=f"scored by scorer {report.scorer}, here is {SCORER_VERSION}: rescore first")
        return
    scored = score.compute(report.evaluation, report.key_revision)
    if canonical_json(scored.report) != canonical_json(report.document):
        yield Difference(of=entry, what="the report differs from its recomputation")
    if report_digest(scored.report) != report.sha256:
        yield Difference(of=entry, what="the digest differs from that of the recomputed report")
    bits = storage.derived_folder(report) / storage.CORRECT
    if not bits.exists() or not np.array_equal(np.load(bits), scored.correct, equal_nan=True):
        yield Difference(of=entry, what="the stored correctness bits differ from their recomputation")


def _analysis_differences(analysis: Analysis) -> Iterator[Difference]:
    in_force = analysis.link.submission.release.key_in_force
    if analysis.version != ANALYSIS_VERSION or analysis.key_revision != in_force:
        yield Difference(of=analysis, what="made by an earlier version or key: rescore first")
        return
    document = analyses.document_of(analysis)
    if canonical_json(document) != canonical_json(analysis.document):
        yield Difference(of=analysis, what="the document differs from its recomputation")
    if report_digest(document) != analysis.sha256:
        yield Difference(of=analysis, what="the digest differs from that of the recomputed document")
