"""What an author may choose from when naming a base and a target domain. In: a user, releases; out: values, words."""

from collections.abc import Iterable
from dataclasses import dataclass

from leaderboard import permissions
from leaderboard.boards.names import FACET_TITLES
from leaderboard.lineage import links
from leaderboard.lineage.derived import FEWEST_PARTS
from leaderboard.models import BaseLink, Model, Release, Submission, User
from leaderboard.models.submissions import SubmissionKind
from leaderboard.permissions import AnyUser
from leaderboard.states import SubmissionState

MOST_BASES = 200


@dataclass(frozen=True, kw_only=True)
class FacetChoice:
    """A facet and its values with their number of images, the most frequent first."""

    name: str
    title: str
    values: dict[str, int]


def bases_to_name(user: AnyUser, release: Release | None = None) -> list[tuple[str, str]]:
    """(what to give as base, what it is): reference bases, then the models that `user` may know of.

    release: with it, only models of which something was submitted there. One's own bases that are kept private are
    given by the submission's id.
    """
    rows = Submission.objects.filter(state=SubmissionState.ACCEPTED, merge__isnull=True).exclude(
        kind=SubmissionKind.BASELINE
    )
    visible = permissions.visible_to(user, rows if release is None else rows.filter(release=release))
    private = visible.filter(kept_private=True).select_related("model").order_by("-created_at")[:MOST_BASES]
    models = Model.objects.filter(pk__in=visible.filter(kept_private=False).values("model"))
    ordered = models.order_by("-is_reference", "slug")[:MOST_BASES]
    named = [(model.slug, f"{model.name}, reference base" if model.is_reference else model.name) for model in ordered]
    return named + [(str(row.pk), f"{row.model.slug}, kept private, {row.created_at:%Y-%m-%d}") for row in private]


def name_of(user: User, release: Release, model: Model, pk: str) -> str:
    """The shortest thing to give as a base that means submission `pk` of `model`: its short name, else the id."""
    named = links.find(user, release, model.slug)
    return model.slug if named and named[1] and str(named[1].pk) == pk else pk


def fine_tunes_of(user: AnyUser, base: Submission) -> list[Submission]:
    """The checkpoints of `user` that name `base`, the newest first: what their soup can be made of. No merges."""
    if not user.is_authenticated:
        return []
    links_here = BaseLink.objects.filter(base=base, superseded_at=None)
    own = Submission.objects.filter(
        owner=user, release=base.release, kind=SubmissionKind.CHECKPOINT, state=SubmissionState.ACCEPTED,
        merge__isnull=True, pk__in=links_here.values("submission"),
    )  # fmt: skip
    return list(own.select_related("model").order_by("-created_at"))


def soups_of(user: AnyUser, model: Model) -> list[tuple[Submission, int]]:
    """The submissions of `model` that `user` has enough fine-tunes of for a soup, with how many."""
    if not user.is_authenticated:
        return []
    own = BaseLink.objects.filter(base__model=model, superseded_at=None, submission__owner=user)
    named = Submission.objects.filter(pk__in=own.values("base"), kind=SubmissionKind.CHECKPOINT)
    bases = permissions.visible_to(user, named.filter(state=SubmissionState.ACCEPTED).select_related("release"))
    counted = [(base, len(fine_tunes_of(user, base))) for base in bases]
    return [(base, n) for base, n in counted if n >= FEWEST_PARTS]


def facets_of(releases: Iterable[Release]) -> list[FacetChoice]:
    """The facets that tell images of these releases apart, with the values that occur in any split."""
    counts: dict[str, dict[str, int]] = {name: {} for name in FACET_TITLES}
    for release in releases:
        for split in release.summary.values():
            for facet, values in split["facets"].items():
                for value, n_items in values.items():
                    counts[facet][value] = counts[facet].get(value, 0) + n_items
    return [
        FacetChoice(name=name, title=title, values=dict(sorted(counts[name].items(), key=lambda each: -each[1])))
        for name, title in FACET_TITLES.items() if len(counts[name]) > 1
    ]  # fmt: skip
