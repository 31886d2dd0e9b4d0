"""Label efficiency and strategy runs computed again from stored embeddings. In: what stands; out: what differs.

Takes as long as computing them did. Nothing is written.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from evaluator.active_learning.studies.process import perform_apart
from evaluator.scoring import canonical_json, report_digest
from leaderboard.label_efficiency import efficiency, strategies
from leaderboard.models import LabelEfficiency, Release, StrategyRun

Document = LabelEfficiency | StrategyRun
EARLIER = "made by an earlier version or key: rescore first"
ORIGIN = (
    "submission__release__key_revision", "submission__model", "dev_evaluation", "test_evaluation", "key_revision",
)  # fmt: skip


def verify(release: Release | None = None) -> Iterator[tuple[Document, list[str]]]:
    """Every document in force with what of it differs from its recomputation."""
    yield from _verify_efficiency(release)
    yield from _verify_strategies(release)


def _verify_efficiency(release: Release | None) -> Iterator[tuple[Document, list[str]]]:
    rows = LabelEfficiency.objects.filter(superseded_at=None).select_related(*ORIGIN, "report")
    rows = rows.filter(submission__release=release) if release else rows
    for _, group in groupby(rows.order_by("submission_id", "dataset"), key=lambda row: row.submission_id):
        own = list(group)
        if any(_is_earlier(row, efficiency.VERSION) for row in own):
            yield from ((row, [EARLIER]) for row in own)
            continue
        for row, found in zip(own, efficiency.measure_again(own, perform_apart), strict=True):
            yield row, [*_differences(row, row.document, found.document), *_of_areas(row, found)]


def _verify_strategies(release: Release | None) -> Iterator[tuple[Document, list[str]]]:
    rows = StrategyRun.objects.filter(superseded_at=None).select_related(*ORIGIN)
    rows = rows.filter(submission__release=release) if release else rows
    ordered = rows.order_by("submission_id", "dataset", "dev_evaluation_id", "test_evaluation_id", "seeds", "pk")
    for _, group in groupby(ordered, key=_made_alike):
        own: Sequence[StrategyRun] = list(group)
        if any(_is_earlier(row, strategies.VERSION) for row in own):
            yield from ((row, [EARLIER]) for row in own)
            continue
        for row, found in zip(own, strategies.measure_again(own, perform_apart), strict=True):
            yield row, list(_differences(row, strategies.lasting(row.document), strategies.lasting(found)))


def _made_alike(row: StrategyRun) -> tuple[Any, ...]:
    return row.submission_id, row.dataset, row.dev_evaluation_id, row.test_evaluation_id, row.seeds


def _is_earlier(row: Document, version: str) -> bool:
    return row.version != version or row.key_revision_id != row.submission.release.key_revision_id


def _differences(row: Document, stored: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    if canonical_json(stored) != canonical_json(found):
        yield "the document differs from its recomputation"
    if report_digest(found) != row.sha256:
        yield "the digest differs from that of the recomputed document"


def _of_areas(row: LabelEfficiency, found: Any) -> Iterator[str]:
    stored = efficiency.areas_of(row, row.submission.release.slug)
    made = (found.replicates, found.gain_replicates)
    if (stored is None) != (made[0] is None) or (stored is not None and not all(map(np.array_equal, stored, made))):
        yield "the stored replicates differ from their recomputation"
