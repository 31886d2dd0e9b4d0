"""A release and its question packs. In: a slug; out: its boards, tasks and splits, and files that may leave."""

from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from evaluator.release.info import info_from_json
from evaluator.release.schema import ReleaseInfo, Split
from evaluator.scoring.index import Group
from leaderboard import packs, permissions
from leaderboard.boards.names import AGGREGATE_TITLES, FACET_TITLES, OVERALL, default_split
from leaderboard.models import Release

SPLIT_WORDS = {
    Split.DEV: "Images, questions and key are public. Score yourself any number of times; everything is shown.",
    Split.TEST: "Images and questions are public, the key is hidden. Checkpoints and prediction files are scored.",
    Split.SEALED: "All hidden. Only checkpoints are scored on it, by our workers.",
}
BESIDE_WORDS = {
    Group.COGNITION: "Questions that experts wrote, each about one image. Every model answers them in question form, "
    "also one that is ranked on captions; they are no part of any mean over tasks.",
    Group.LOCALISATION: "Boxes around every instance of the classes of a dataset. The score is GRIT localisation, the "
    "mean over images and classes of the matched overlap; it is no part of any mean over tasks.",
}
BOARD_FACETS = ("modality", "domain")


@require_safe
def release(request: HttpRequest, release: str) -> HttpResponse:
    """Boards, tasks, splits, packs and what was changed at import."""
    found = permissions.get_release(request.user, release)
    info = info_from_json(found.info)
    split = default_split(info)
    tasks = found.summary[split]["tasks"]
    context = {
        "release": found, "info": info, "split": split, "aggregates": AGGREGATE_TITLES.items(),
        "tasks": [task for task in tasks if Group(task["group"]).is_core], "beside": _beside(tasks),
        "facet_boards": _facet_boards(found, split),
        "splits": [_split_row(found, info, name) for name in info.splits],
        "datasets": sorted(info.datasets.items(), key=lambda item: item[1].title),
    }  # fmt: skip
    return render(request, "releases/release.html", context)


@require_safe
def pack(request: HttpRequest, release: str, split: str) -> FileResponse:
    """The question pack of an open split; the sealed one has none."""
    found = permissions.get_release(request.user, release)
    path = packs.pack_path(found, split)
    if path is None:
        raise Http404("there is no such pack")
    return FileResponse(path.open("rb"), as_attachment=True, filename=f"{found.slug}-{split}.zip")


def _beside(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups of tasks that have boards of their own alone, those that the release has."""
    found = [
        {"title": str(group).capitalize(), "says": says, "tasks": [task for task in tasks if task["group"] == group]}
        for group, says in BESIDE_WORDS.items()
    ]
    return [group for group in found if group["tasks"]]


def _split_row(found: Release, info: ReleaseInfo, split: Split) -> dict[str, Any]:
    path = packs.pack_path(found, split)
    return {
        "name": split, "sizes": info.splits[split], "says": SPLIT_WORDS[split],
        "pack_bytes": path.stat().st_size if path else None,
    }  # fmt: skip


def _facet_boards(found: Release, split: Split) -> list[dict[str, Any]]:
    address = reverse("board", args=[found.slug, OVERALL])
    facets = found.summary[split]["facets"]
    return [
        {
            "title": FACET_TITLES[facet],
            "values": [
                {"name": value, "items": n, "url": f"{address}?{urlencode({'split': split.value, facet: value})}"}
                for value, n in facets[facet].items()
            ],
        }
        for facet in BOARD_FACETS
        if facet in facets
    ]
