"""A tuned model and its base as sections of a page. In: what the reader may read of the pair; out: what is shown."""

from typing import Any

from evaluator.release.info import info_from_json
from evaluator.release.paper_merges import paper_merges
from leaderboard import files, permissions
from leaderboard.detail import SPLIT_ORDER
from leaderboard.lineage.pairs import parents_of
from leaderboard.lineage.reading import Lineage
from leaderboard.models import Analysis, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.pages.tuned import forgetting, merging
from leaderboard.permissions import AnyUser
from leaderboard.states import EvaluationState, SubmissionState

REFUSED = "not_applicable"  # in a document: why there is no analysis


def shown(lineage: Lineage, user: AnyUser) -> dict[str, Any]:
    """*What it forgot* and *merging with its base*; `is_empty` where there is nothing to say to this reader."""
    tuned = lineage.tuned
    info = info_from_json(tuned.release.info)
    analyses = [lineage.forgetting[split] for split in SPLIT_ORDER if split in lineage.forgetting]
    swept = lineage.interpolation
    merged = None
    if swept is not None and REFUSED not in swept.document:
        merged = merging.shown(swept.document, info.datasets, paper_merges(info.datasets))
    refused = [lineage.not_applicable[1]] if lineage.not_applicable else []
    may_merge = lineage.may_change and tuned.kind == SubmissionKind.CHECKPOINT and lineage.not_applicable is None
    return {
        "lineage": lineage, "tuned": tuned, "release": tuned.release, "link": lineage.link, "history": lineage.history,
        "is_empty": lineage.link is None and not (lineage.may_change and can_name_base(tuned)),
        "target": "" if lineage.link is None else target_words(lineage.link.target),
        "forgot": [forgetting.shown(each.document, info.datasets) for each in analyses if REFUSED not in each.document],
        "forgot_refused": _reasons(analyses), "looks_unlike": looks_unlike(lineage),
        "merging": merged, "merging_refused": refused or _reasons([swept] if swept else []),
        "may_sweep": may_merge, "sweep": sweep_state(lineage), "is_sweeping": lineage.sweeping,
        "has_figures": merged is not None,
        "merges": [{"submission": each, "files": each.files if files.may_download(user, each) else []}
                   for each in lineage.derived],
    }  # fmt: skip


def sweep_state(lineage: Lineage) -> dict[str, Any] | None:
    """How the latest sweep stands: `going` while something is to come, else how it ended."""
    sweep = lineage.sweep
    if sweep is None:
        return None
    return {
        "evaluation": sweep, "going": lineage.sweeping, "failed": sweep.state == EvaluationState.FAILED,
        "cancelled": sweep.state == EvaluationState.CANCELLED,
    }  # fmt: skip


def can_name_base(tuned: Submission) -> bool:
    """Whether naming a base can lead anywhere: not for what was refused or taken back, nor for baselines."""
    gone = tuned.state in (SubmissionState.REJECTED, SubmissionState.WITHDRAWN)
    return not gone and tuned.kind != SubmissionKind.BASELINE


def made_of(merge: Submission, user: AnyUser) -> list[dict[str, Any]]:
    """The parents of a merge with their weights; without names those that the reader may not know of."""
    visible = permissions.visible_to(user, Submission.objects.all())
    return [
        {"submission": parent.submission if visible.filter(pk=parent.submission.pk).exists() else None,
         "weight": parent.weight}
        for parent in parents_of(merge)
    ]  # fmt: skip


def target_words(parts: list[str]) -> str:
    """['domain=pathology', …] as 'domain pathology · …'."""
    found: dict[str, list[str]] = {}
    for part in parts:
        facet, _, value = part.partition("=")
        found.setdefault(facet, []).append(value)
    return forgetting.target_words(found)


def looks_unlike(lineage: Lineage) -> bool:
    """Whether the named base's weights do not look like what this was tuned from; only its author is told."""
    return lineage.kinship is not None and not lineage.kinship.looks_tuned


def _reasons(analyses: list[Analysis]) -> list[str]:
    """Why an analysis was refused, each sentence once."""
    found = [reason["message"] for each in analyses for reason in each.document.get(REFUSED, [])]
    return list(dict.fromkeys(found))
