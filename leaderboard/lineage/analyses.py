"""Bringing a link's analyses up to date. In: requests that changes left; out: Analysis rows, older ones superseded.

Runs in the scorer: reads KEY_ROOT and stored answers, never weights. What is up to date is left alone, so a request
served twice costs a look.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from django.db import connection, transaction
from django.db.models.functions import Now

from evaluator.analyses import ANALYSIS_VERSION
from evaluator.analyses.forgetting import Side, forgetting
from evaluator.analyses.interpolation import score_sweep
from evaluator.answering.sweeps.sweep_answers import read_sweep
from evaluator.errors import InputError
from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from evaluator.scoring import SCORER_VERSION, report_digest
from evaluator.scoring.baselines import chance_marks
from leaderboard import storage
from leaderboard.boards.compute import key_index
from leaderboard.lineage import pairs
from leaderboard.lineage.documents import head, not_applicable, split_key
from leaderboard.models import Analysis, AnalysisRequest, BaseLink, Evaluation, Report, Submission
from leaderboard.models.lineage import AnalysisKind
from leaderboard.models.submissions import Purpose
from leaderboard.states import EvaluationState

Made = tuple[AnalysisKind, str, dict[str, Any]]  # kind, split, what it was made from


def requested() -> list[int]:
    """The links whose analyses were asked for."""
    return list(AnalysisRequest.objects.order_by("link_id").values_list("link_id", flat=True).distinct())


def serve(link_id: int) -> bool:
    """Bring one link up to date and do its requests away; False when another worker does, or there are none."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [f"leaderboard.analyses.{link_id}"])
            if not cursor.fetchone()[0]:
                return False
        # Only requests seen before anything is read: one that comes meanwhile is served by the next round.
        seen = list(AnalysisRequest.objects.filter(link=link_id).values_list("pk", flat=True))
        if not seen:
            return False
        rows = BaseLink.objects.select_related("submission__release__key_revision", "submission__model", "base__model")
        bring_up_to_date(rows.get(pk=link_id))
        AnalysisRequest.objects.filter(pk__in=seen).delete()
    return True


def bring_up_to_date(link: BaseLink) -> list[Analysis]:
    """Compute what is missing or out of date of a link in force; returns the new analyses."""
    if link.superseded_at is not None:
        return []
    return [
        _store(link, kind, split, made_from, _document(link, kind, split, made_from))
        for kind, split, made_from in _wanted(link) if not _stands(link, kind, split, made_from)
    ]  # fmt: skip


def document_of(analysis: Analysis) -> dict[str, Any]:
    """The analysis computed again from what is stored: what `rescore --verify` compares."""
    made_from = {"tuned_report": analysis.tuned_report, "base_report": analysis.base_report, "sweep": analysis.sweep}
    return _document(analysis.link, AnalysisKind(analysis.kind), analysis.split, made_from)


def _wanted(link: BaseLink) -> Iterator[Made]:
    """What can be computed of the link now."""
    if link.base is None:
        return
    for split in link.submission.release.info["splits"]:
        tuned, base = _report(link.submission, split), _report(link.base, split)
        if tuned is not None and base is not None:
            yield AnalysisKind.FORGETTING, split, {"tuned_report": tuned, "base_report": base, "sweep": None}
    sweep = pairs.latest_sweep(link.submission, link.base)
    if sweep is not None and sweep.state in (EvaluationState.ANSWERED, EvaluationState.SCORED):
        made_from = {"tuned_report": None, "base_report": None, "sweep": sweep}
        yield AnalysisKind.INTERPOLATION, sweep.split, made_from


def _report(submission: Submission, split: str) -> Report | None:
    """The report of a submission by the key and scorer in force."""
    of = Report.objects.filter(evaluation__submission=submission, evaluation__split=split)
    in_force = of.filter(
        evaluation__purpose=Purpose.SCORE, key_revision=submission.release.key_revision, scorer=SCORER_VERSION
    )
    return in_force.select_related("evaluation__submission__release").order_by("pk").last()


def _stands(link: BaseLink, kind: AnalysisKind, split: str, made_from: dict[str, Any]) -> bool:
    return Analysis.objects.filter(
        link=link, kind=kind, split=split, superseded_at=None, version=ANALYSIS_VERSION,
        key_revision=link.submission.release.key_revision, **made_from,
    ).exists()  # fmt: skip


def _document(link: BaseLink, kind: AnalysisKind, split: str, made_from: dict[str, Any]) -> dict[str, Any]:
    try:
        return DOCUMENTS[kind](link, Split(split), made_from)
    except InputError as error:  # such as a target without an image in this split: said where it would be shown
        return not_applicable(kind, link, split, error)


def _forgetting(link: BaseLink, split: Split, made_from: dict[str, Any]) -> dict[str, Any]:
    release = link.submission.release
    base, tuned = (_side(made_from[name]) for name in ("base_report", "tuned_report"))
    return forgetting(
        key_index(release, split), base, tuned, pairs.target_of(link),
        chance=chance_marks(read_questions(storage.release_folder(release), split)),
        hidden=not split.key_is_public, head=head(link, split),
    )  # fmt: skip


def _side(report: Report) -> Side:
    correct = np.load(storage.derived_folder(report) / storage.CORRECT)
    return Side(correct=correct, protocol=report.document["protocol"])


def _interpolation(link: BaseLink, split: Split, made_from: dict[str, Any]) -> dict[str, Any]:
    sweep: Evaluation = made_from["sweep"]
    release, answered = link.submission.release, pairs.splits_answered(sweep)
    with storage.local_path(sweep.answers_sha256) as path:
        answers = read_sweep(path)
    return score_sweep(
        {each: split_key(release, each) for each in answered}, answers, sweep.run, pairs.target_of(link),
        reported=split, select_on=Split.DEV if Split.DEV in answered else None, head=head(link, split),
    )  # fmt: skip


DOCUMENTS: dict[AnalysisKind, Callable[[BaseLink, Split, dict[str, Any]], dict[str, Any]]] = {
    AnalysisKind.FORGETTING: _forgetting, AnalysisKind.INTERPOLATION: _interpolation,
}  # fmt: skip


def _store(
    link: BaseLink, kind: AnalysisKind, split: str, made_from: dict[str, Any], document: dict[str, Any]
) -> Analysis:
    with transaction.atomic():
        BaseLink.objects.select_for_update(no_key=True).get(pk=link.pk)
        Analysis.objects.filter(link=link, kind=kind, split=split, superseded_at=None).update(superseded_at=Now())
        return Analysis.objects.create(
            link=link, kind=kind, split=split, key_revision=link.submission.release.key_in_force,
            version=ANALYSIS_VERSION, document=document, sha256=report_digest(document), **made_from,
        )  # fmt: skip
