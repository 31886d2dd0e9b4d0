"""Home, the rules, the choice of colours. In: a request; out: the current release at a glance."""

from statistics import median
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_safe

from evaluator.release.info import info_from_json
from leaderboard import permissions
from leaderboard.boards import snapshots
from leaderboard.boards.names import OVERALL, default_split
from leaderboard.boards.render import SCALE, references
from leaderboard.boards.rows import Board, Column
from leaderboard.models import Entry, Release
from leaderboard.pages.context import THEME_COOKIE, THEMES

TOP_ROWS = 10
SHOWN_TASKS = 3
LATEST_ENTRIES = 6
YEAR_S = 365 * 24 * 3600


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """What this is, who leads, how to take part."""
    releases = list(permissions.visible_to(request.user, Release.objects.all()))
    context: dict[str, Any] = {"releases": releases}
    if releases:
        current = releases[0]
        split = default_split(info_from_json(current.info))
        board = snapshots.get_board(current, split, OVERALL)
        latest = Entry.objects.filter(release=current, superseded_at=None, split=split).select_related("model")
        context |= {
            "release": current, "split": split, "board": board, "top": board.rows[:TOP_ROWS], "scale": SCALE,
            "references": references(board),
            "latest": latest.order_by("-published_at")[:LATEST_ENTRIES], **_tasks(board),
        }  # fmt: skip
    return render(request, "home.html", context)


def _tasks(board: Board) -> dict[str, list[dict[str, Any]]]:
    """The tasks that models solve best, and those on which they differ most."""
    found = []
    ranked = [row for row in board.rows if row.rank is not None]
    for column in board.columns:
        scores = [score for row in ranked if (score := board.cell(row, column.slug)[0]) is not None]
        if len(scores) > 1:
            found.append(_task(column, scores))
    return {
        "strongest": sorted(found, key=lambda task: -task["median"])[:SHOWN_TASKS],
        "divisive": sorted(found, key=lambda task: task["low"] - task["high"])[:SHOWN_TASKS],
    }


def _task(column: Column, scores: list[float]) -> dict[str, Any]:
    return {"column": column, "median": median(scores), "low": min(scores), "high": max(scores)}


@require_safe
def rules(request: HttpRequest) -> HttpResponse:
    """How splits, scores, intervals, ranks and publication work."""
    return render(request, "rules.html")


@require_safe
def theme(request: HttpRequest, choice: str) -> HttpResponse:
    """Keep the reader's choice of colours in a cookie, and go back to where they were."""
    if choice not in THEMES:
        raise Http404("no such colours")
    back = request.GET.get("next", "/")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = "/"
    response = redirect(back)
    if choice == "auto":
        response.delete_cookie(THEME_COOKIE)
    else:
        response.set_cookie(THEME_COOKIE, choice, max_age=YEAR_S, samesite="Lax", secure=request.is_secure())
    return response
