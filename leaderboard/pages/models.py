"""Models. In: a slug; out: who made it, where it is strong and weak, what was submitted of it."""

from statistics import median
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Max, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_http_methods, require_safe

from evaluator.release.info import info_from_json
from evaluator.release.schema import Split
from leaderboard import architectures, catalogue, permissions
from leaderboard.boards import snapshots
from leaderboard.boards.marks import marks_of
from leaderboard.boards.names import OVERALL, default_split
from leaderboard.boards.render import draw
from leaderboard.boards.rows import Board, Row
from leaderboard.forms import ModelForm
from leaderboard.lineage import choices, reading
from leaderboard.models import Entry, Model, Release
from leaderboard.numbers import position
from leaderboard.pages import runs
from leaderboard.pages.labels import efficiency_section
from leaderboard.pages.tuned import pairs
from leaderboard.runs import read_run

SPLITS = [Split.TEST, Split.SEALED, Split.DEV]  # hidden ones first: they are what counts


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """Every model that the reader may know of, with its score on the current release."""
    rows = permissions.visible_to(request.user, Model.objects.all()).annotate(
        n_submissions=Count("submissions", distinct=True), latest=Max("submissions__created_at")
    )
    release = permissions.visible_to(request.user, Release.objects.all()).first()
    standing: dict[str, Row] = {}
    if release is not None:
        split = default_split(info_from_json(release.info))
        standing = {row.model: row for row in snapshots.get_board(release, split, OVERALL, tasks=()).rows}
    pairs = [(model, standing.get(model.slug)) for model in rows.order_by("name")]
    pairs.sort(key=lambda pair: -(pair[1].score or 0.0) if pair[1] else 1.0)
    listed = [{"model": model, "row": row} for model, row in pairs]
    return render(request, "models/models.html", {"listed": listed, "release": release})


@require_safe
@gzip_page  # as boards
def model(request: HttpRequest, slug: str) -> HttpResponse:
    """One model: what it is, its headline, its tasks against all other models, its submissions."""
    found = permissions.get_model(request.user, slug)
    live = _live_entries(request, found)
    standings = [_standing(found, *place) for place in _places(live)]
    submissions = permissions.visible_to(request.user, found.submissions.select_related("release"))
    unpublished = found.submissions.exclude(Q(entries__isnull=False)).count()
    architecture = architectures.registered_or_none(found.architecture)
    lineages = [pairs.shown(each, request.user) for each in reading.of_model(request.user, found)]
    sections = [efficiency_section.section(request.user, each["tuned"], with_rank=True) for each in lineages[:1]]
    told = [pair for pair in lineages if not pair["is_empty"]]
    pair = told[0] if told else {"is_empty": True}
    context = {
        "model": found, "standings": [standing for standing in standings if standing], "submissions": submissions,
        "n_unpublished": unpublished, "may_edit": permissions.may_edit(request.user, found),
        "architecture": architecture, "twin": architectures.twin_of(architecture) if architecture else None,
        "soups": choices.soups_of(request.user, found), "pair": pair, "other_pairs": told[1:],
        "efficiency": sections[0] if sections else None,
        "has_figures": pair.get("has_figures"), "sweeps": pair.get("is_sweeping"), **_measured(live),
    }  # fmt: skip
    return render(request, "models/model.html", context)


@require_safe
def report(request: HttpRequest, slug: str, release: str, split: str) -> HttpResponse:
    """To the submission whose report stands on a split's boards for the model."""
    found = permissions.get_release(request.user, release)
    if split not in found.info["splits"]:
        raise Http404("no such split")
    board = snapshots.get_board(found, Split(split), OVERALL, tasks=())
    submission = next((row.submission for row in board.rows if row.model == slug), None)
    if submission is None:
        raise Http404("the model has no report there")
    return redirect("submission", pk=submission)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """What its author says of the model, and which submission stands on the boards."""
    found = permissions.get_model(request.user, slug, to_edit=True)
    form = ModelForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        catalogue.describe(found, form.cleaned_data)
        messages.success(request, "Saved. The boards are being rebuilt.")
        return redirect("model", slug=found.slug)
    return render(request, "models/edit.html", {"model": found, "form": form}, status=200 if not form.errors else 400)


def _live_entries(request: HttpRequest, found: Model) -> list[Entry]:
    """What stands of the model on the boards of releases that the reader may know of, with how it was run."""
    visible = permissions.visible_to(request.user, Release.objects.all())
    live = Entry.objects.filter(model=found, superseded_at=None, release__in=visible)
    related = live.select_related("release", "report__evaluation").defer("report__document")
    return list(related.order_by("-published_at"))


def _places(live: list[Entry]) -> list[tuple[Release, Split]]:
    """The releases and splits on which the model stands, hidden splits first."""
    places = {(entry.release, Split(entry.split)) for entry in live}
    return sorted(places, key=lambda place: (-place[0].pk, SPLITS.index(place[1])))


def _measured(live: list[Entry]) -> dict[str, Any]:
    """What it took to run the model, on the hidden split of the latest entry that our workers computed."""
    for entry in sorted(live, key=lambda entry: (-entry.release_id, SPLITS.index(Split(entry.split)))):
        if run := read_run(entry.report.evaluation.run):
            return {"cost": runs.cost(run), "cost_of": entry}
    return {"cost": [], "cost_of": None}


def _standing(found: Model, release: Release, split: Split) -> dict[str, Any] | None:
    """Where the model stands on one split; None until its boards have been rebuilt."""
    board = snapshots.get_board(release, split, OVERALL)
    row = next((row for row in board.rows if row.model == found.slug), None)
    if row is None:
        return None
    tasks = _tasks(board, row)
    compared = [task for task in tasks if task["median"] is not None and task["low"] is not None]
    return {
        "release": release, "split": split, "row": row, "marks": marks_of(row), "tasks": tasks,
        "n_ranked": sum(other.rank is not None for other in board.rows), "n_compared": len(compared),
        "n_others": max((task["n_others"] for task in tasks), default=0),
        "above": [task["column"].title for task in compared if task["low"] > task["median"]],
        "below": [task["column"].title for task in compared if task["high"] < task["median"]],
    }  # fmt: skip


def _tasks(board: Board, row: Row) -> list[dict[str, Any]]:
    tasks = []
    ranked = [other for other in board.rows if other.rank is not None and other.model != row.model]
    for column in board.columns:
        score, low, high, n_questions = board.cell(row, column.slug)
        others = [value for other in ranked if (value := board.cell(other, column.slug)[0]) is not None]
        tasks.append({
            "column": column, "score": score, "low": low, "high": high, "n_questions": n_questions,
            "drawn": draw(score, low, high), "others": [position(value) for value in others],
            "n_others": len(others), "median": median(others) if others else None,
        })  # fmt: skip
    return tasks
