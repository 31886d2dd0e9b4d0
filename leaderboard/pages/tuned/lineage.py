"""Bases, sweeps, merges. In: forms and addresses; out: pages; the rules stand in leaderboard.lineage."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from evaluator.errors import InputError
from evaluator.release.info import info_from_json
from evaluator.release.schema import Split
from leaderboard import files, permissions
from leaderboard.boards.names import default_split
from leaderboard.lineage import choices, derived, links, reading, sweeps
from leaderboard.lineage.derived import FEWEST_PARTS, MOST_PARTS
from leaderboard.lineage.forms import BaseForm, DerivedForm, MergeForm, SoupForm
from leaderboard.models import Analysis, Release, Submission, User
from leaderboard.pages import figures
from leaderboard.pages.tuned import forgetting, pairs
from leaderboard.permissions import Action
from leaderboard.quota import QuotaExceeded


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def base(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Name what a submission was tuned from, and its target domain."""
    found = permissions.get_submission(request.user, pk, to=Action.DESCRIBE)
    lineage = reading.of_submission(request.user, found)
    form = BaseForm(found.release, request.POST or None, initial=_declared(_person(request), lineage))
    if request.method == "POST" and form.is_valid():
        try:
            links.declare(found, form.cleaned_data["base"], form.cleaned_data["target"], by=_person(request))
        except InputError as error:
            form.refuse(error)
        else:
            messages.success(request, "Saved. What it forgot is computed as soon as both models have a report.")
            return _to_pair(found)
    context = {
        "submission": found, "form": form, "pair": pairs.shown(lineage, request.user),
        "bases": choices.bases_to_name(request.user, found.release),
        "has_scores": links.has_scores(found),
    }  # fmt: skip
    return render(request, "lineage/base.html", context, status=400 if form.errors else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def sweep(request: HttpRequest, pk: UUID) -> HttpResponse:
    """POST queues the sweep of a submission with its base; GET is the part of the page that shows how it goes."""
    found = permissions.get_submission(request.user, pk, to=Action.DESCRIBE)
    if request.method == "POST":
        try:
            sweeps.ask(found, by=_person(request))
        except InputError as error:
            messages.error(request, " ".join(problem.message for problem in error.problems))
        return _to_pair(found, "merging")
    pair = pairs.shown(reading.of_submission(request.user, found), request.user)
    response = render(request, "lineage/_sweep.html", {"pair": pair})
    if not pair["is_sweeping"]:
        response["HX-Refresh"] = "true"  # it came to an end: the whole page has more to show now
    return response


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def merge(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Submit a merge of a submission with its base as a model of its own."""
    found = permissions.get_submission(request.user, pk, to=Action.DESCRIBE)
    pair = pairs.shown(reading.of_submission(request.user, found), request.user)
    if pair["merging"] is None:
        raise Http404("there is no sweep to choose a merge from")
    form = MergeForm(pair["merging"]["choices"], request.POST or None, initial=_proposed(found, pair["merging"]))
    if request.method == "POST" and form.is_valid():
        model = form.cleaned_data["model"]
        if made := _made(form, lambda: derived.submit_merge(found, form.chosen_alpha(), model, by=_person(request))):
            return redirect("submission", pk=made.pk)
    has_soup = len(choices.fine_tunes_of(request.user, pair["link"].base)) >= FEWEST_PARTS
    context = {"submission": found, "form": form, "pair": pair, "has_soup": has_soup}
    return render(request, "lineage/merge.html", context, status=form.status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def soup(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Submit the mean of one's own fine-tunes of a submission as a model of its own."""
    found = permissions.get_submission(request.user, pk)
    fine_tunes = choices.fine_tunes_of(request.user, found)
    if len(fine_tunes) < FEWEST_PARTS:
        raise Http404("there are no fine-tunes to take the mean of")
    form = SoupForm(fine_tunes, request.POST or None, initial=_whole_soup(found, fine_tunes))
    if request.method == "POST" and form.is_valid():
        model = form.cleaned_data["model"]
        if made := _made(form, lambda: derived.submit_soup(form.chosen_parts(), model, by=_person(request))):
            return redirect("submission", pk=made.pk)
    return render(request, "lineage/soup.html", {"base": found, "form": form}, status=form.status)


def _made(form: DerivedForm, submit: Callable[[], Submission]) -> Submission | None:
    """What `submit` made; None where it was refused, which the form then says."""
    try:
        return submit()
    except InputError as error:
        form.refuse(error)
    except (PermissionDenied, QuotaExceeded) as error:
        form.add_error(None, str(error).capitalize() + ".")
        form.refused_as = 403 if isinstance(error, PermissionDenied) else 429
    return None


@login_required
@require_safe
def file(request: HttpRequest, pk: UUID, name: str) -> FileResponse:
    """A file of one's own submission, as it is kept: the way to have a merge that the server made."""
    return files.download(permissions.get_submission(request.user, pk, to=Action.INSPECT), name, by=request.user)


@require_safe
def release_forgetting(request: HttpRequest, release: str) -> HttpResponse:
    """Which fine-tunes gained in their target, and what they kept of the rest."""
    found = permissions.get_release(request.user, release)
    info = info_from_json(found.info)
    split = _split(request, found)
    everything = reading.published_forgetting(found, split)
    gained = reading.gains_of_release(found, split)
    rows = [_gain_row(analysis) for analysis in gained]
    drawn = [row["drawn"] for row in rows if row["drawn"]]
    context = {
        "release": found, "split": split, "rows": rows, "n_others": len(everything) - len(gained),
        "any_after_scores": any(row["after_scores"] for row in rows),
        "figure": figures.gains(drawn).as_json() if drawn else None, "has_figures": bool(drawn),
        "split_tabs": [{"name": each, "url": f"?split={each}", "here": each == split} for each in info.splits],
    }  # fmt: skip
    return render(request, "lineage/forgetting.html", context)


def _gain_row(analysis: Analysis) -> dict[str, Any]:
    document, link = analysis.document, analysis.link
    headline = document["headline"]
    retained, inside = headline["retained_share"], headline["inside"]
    names = {"name": link.submission.model.name, "base": link.model.name}
    return {
        "model": link.submission.model, "base": link.model, "target": forgetting.target_words(document["target"]),
        "inside": inside, "outside": headline["outside"], "retained": retained, "after_scores": link.after_scores,
        "drawn": None if retained["estimate"] is None else figures.Gain(
            **names, inside=inside["delta"], retained={name: retained[name] for name in ("estimate", "low", "high")}),
    }  # fmt: skip


def _split(request: HttpRequest, release: Release) -> Split:
    info = info_from_json(release.info)
    asked = request.GET.get("split", "")
    if asked and asked not in info.splits:
        raise Http404("no such split")
    return Split(asked) if asked else default_split(info)


def _declared(user: User, lineage: reading.Lineage) -> dict[str, Any]:
    """What stands in the form at first: the link in force, else the likeliest base, so that one press takes it."""
    release = lineage.tuned.release
    if lineage.link is not None:
        model, named = lineage.link.model, lineage.link.base
        base = choices.name_of(user, release, model, str(named.pk)) if named else model.slug
        return {"base": base, "target": lineage.link.target}
    likeliest = lineage.suggestions[0] if lineage.suggestions else None
    base = choices.name_of(user, release, likeliest.model, likeliest.base) if likeliest else ""
    return {"base": base, "target": []}


def _proposed(tuned: Submission, shown: dict[str, Any]) -> dict[str, Any]:
    alpha = shown["selected_alpha"]
    return {"alpha": f"{alpha:g}" if alpha in shown["choices"] else "0.5", "model": f"{tuned.model.slug}-merged"}


def _whole_soup(base: Submission, fine_tunes: Sequence[Submission]) -> dict[str, Any]:
    """All of them, as many as a soup takes."""
    return {"parts": [str(each.pk) for each in fine_tunes[:MOST_PARTS]], "model": f"{base.model.slug}-soup"}


def _person(request: HttpRequest) -> User:
    return permissions.signed_in(request.user)


def _to_pair(found: Submission, section: str = "forgot") -> HttpResponse:
    return redirect(f"{reverse('submission', args=[found.pk])}#{section}")
