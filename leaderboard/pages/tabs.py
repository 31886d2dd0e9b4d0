"""The boards of a release as tabs. In: a release and where the reader is; out: names and addresses."""

from typing import Any

from django.urls import reverse

from leaderboard.boards.names import AGGREGATE_TITLES
from leaderboard.models import Release

LABEL_EFFICIENCY, STRATEGIES = "label-efficiency", "strategies"
BESIDE = {LABEL_EFFICIENCY: "Label efficiency", STRATEGIES: "Strategies"}


def beside(release: Release, here: str = "") -> list[dict[str, Any]]:
    """What stands beside the boards of scores: how few labels a model needs, and which."""
    return [{"name": title, "url": reverse(name, args=[release.slug]), "here": name == here}
            for name, title in BESIDE.items()]  # fmt: skip


def all_boards(release: Release, here: str) -> list[dict[str, Any]]:
    """The boards of scores, then what stands beside them."""
    scores = [{"name": title, "url": reverse("board", args=[release.slug, name])}
              for name, title in AGGREGATE_TITLES.items()]  # fmt: skip
    return [*scores, *beside(release, here)]
