"""Whether two checkpoints look related. In: what validation established of each; out: a Kinship. No tensor."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from evaluator.weights.sketch import Kinship, compare
from leaderboard import permissions
from leaderboard.models import BaseLink, Model, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.permissions import AnyUser
from leaderboard.states import SubmissionState

MOST_COMPARED = 200
MOST_SUGGESTED = 3

__all__ = ["Kinship", "Suggestion", "looks_like", "of_link", "suggested"]


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A checkpoint that a submission looks like a fine-tune of; `base` is what to give as its base."""

    base: str
    model: Model
    kinship: Kinship


def looks_like(submission: Submission, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The checkpoints that one with these facts may have been tuned from, the likeliest first, as facts to keep.

    Among those that its owner may see, reference bases first; its own model's other submissions are left out, and
    merges, whose parents are nearer.
    """
    found: list[dict[str, Any]] = [
        {"submission": str(row.pk), "identical_share": kin.identical_share, "distance": kin.distance,
         "cosine": kin.cosine}
        for row in _candidates(submission)
        if (kin := compare(facts, row.facts)) is not None and kin.looks_tuned
    ]  # fmt: skip
    return sorted(found, key=lambda each: each["distance"])[:MOST_SUGGESTED]


def suggested(user: AnyUser, submission: Submission) -> list[Suggestion]:
    """What was found at validation, as far as `user` may still know of it."""
    kept = {each["submission"]: each for each in submission.facts.get("looks_like", [])}
    rows = permissions.visible_to(user, Submission.objects.filter(pk__in=kept).select_related("model"))
    found = [
        Suggestion(
            base=str(row.pk), model=row.model,
            kinship=Kinship(looks_tuned=True, **{k: v for k, v in kept[str(row.pk)].items() if k != "submission"}),
        )
        for row in rows if row.state == SubmissionState.ACCEPTED
    ]  # fmt: skip
    return sorted(found, key=lambda each: each.kinship.distance)


def of_link(link: BaseLink) -> Kinship | None:
    """How the two named checkpoints' weights are related; None where one has none, or they cannot be compared."""
    if link.base is None or not link.base.facts.get("sketch"):
        return None
    return compare(link.submission.facts, link.base.facts)


def _candidates(submission: Submission) -> Iterator[Submission]:
    rows = Submission.objects.filter(
        kind=SubmissionKind.CHECKPOINT, state=SubmissionState.ACCEPTED, merge__isnull=True, facts__has_key="sketch"
    ).exclude(Q(model=submission.model) | Q(pk=submission.pk))
    visible = permissions.visible_to(submission.owner, rows)
    yield from visible.order_by("-model__is_reference", "-created_at")[:MOST_COMPARED].iterator(chunk_size=20)
