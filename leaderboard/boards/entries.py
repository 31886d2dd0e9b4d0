"""The entries that stand on a split's boards: one per model, its author's choice, else the latest."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, OuterRef, Subquery

from evaluator.answers import Protocol
from evaluator.release.schema import Split
from evaluator.sandbox import SandboxLevel
from leaderboard.boards.rows import DERIVED
from leaderboard.models import Entry, Release, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.runs import read_agreement, reduced_precision


@dataclass(frozen=True, kw_only=True)
class LiveEntry:
    """A model's published report on one split, and what the row says of it."""

    report_id: int
    report_scorer: str
    key_revision_id: int
    model: str
    name: str
    submission: str
    n_submissions: int  # on the release, published or not: attempts are shown
    kind: str
    protocol: str
    weak_sandbox: bool
    precision: str = ""  # empty: the official one, or none of ours
    agreement: float | None = None  # share of choices equal to those of a run in the official precision
    unparsed: float | None = None  # share of replies that name no single option

    @property
    def verified(self) -> bool:
        """Our worker computed the answers."""
        return self.kind in (SubmissionKind.CHECKPOINT, DERIVED)

    @property
    def competes(self) -> bool:
        """It takes a rank; baselines and merges stand beside the ranks."""
        return self.kind not in (SubmissionKind.BASELINE, DERIVED)


FIELDS = {
    "report_id": "report_id", "report_scorer": "report__scorer", "key_revision_id": "report__key_revision_id",
    "model": "model__slug", "name": "model__name", "kind": "submission__kind",
    "protocol": "report__evaluation__protocol",
}  # fmt: skip
WEAK = SandboxLevel.WEAK.value
RUN, COUNTS = "report__evaluation__run", "report__document__counts__null"  # counts of the question form
RUN_PARTS = {name: f"{RUN}__{name}" for name in ("sandbox", "precision", "official_precision", "agreement")}
CAPTION = 1  # the wording that is ranked where captions were answered


def headline_variant(protocol: str, answered: Collection[str]) -> int | None:
    """The wording that boards rank core tasks by; cognition and localisation have but one.

    answered: the names of the variants in which core tasks were answered ("None", "0", "1").
    """
    has_captions = not {"0", "1"}.isdisjoint(answered)
    return CAPTION if has_captions and (protocol == Protocol.CAPTIONS or "None" not in answered) else None


def live_entries(release: Release, split: Split) -> list[LiveEntry]:
    """One entry per model, by the model's slug. One query."""
    attempts = Submission.objects.filter(release=release, model=OuterRef("model_id")).order_by().values("model")
    rows = (
        Entry.objects.filter(release=release, split=split, superseded_at=None)
        .order_by("published_at", "pk")
        .annotate(n_submissions=Subquery(attempts.annotate(n=Count("pk")).values("n")))
        .values(
            "model_id", "submission_id", "submission__merge", "model__shown_submission_id", "n_submissions", COUNTS,
            *RUN_PARTS.values(), *FIELDS.values(),
        )
    )  # fmt: skip
    chosen: dict[int, dict[str, Any]] = {}
    for row in rows:  # later ones replace earlier ones, unless the author chose the earlier
        standing = chosen.get(row["model_id"])
        if standing is None or standing["submission_id"] != row["model__shown_submission_id"]:
            chosen[row["model_id"]] = row
    return sorted(map(_entry, chosen.values()), key=lambda entry: entry.model)


def _entry(row: dict[str, Any]) -> LiveEntry:
    run = {name: row[path] for name, path in RUN_PARTS.items()}
    agreement, counts = read_agreement(run["agreement"]), row[COUNTS] or {}
    facts = {name: row[path] for name, path in FIELDS.items()}
    return LiveEntry(
        **facts | ({"kind": DERIVED} if row["submission__merge"] is not None else {}),
        submission=str(row["submission_id"]), n_submissions=row["n_submissions"], weak_sandbox=run["sandbox"] == WEAK,
        precision=reduced_precision(run), agreement=agreement.share if agreement else None,
        unparsed=counts["unparsed"] / counts["answered"] if counts.get("unparsed") else None,
    )  # fmt: skip
