"""Which images to label next. In: forms and addresses; out: pages, CSV; the rules stand in leaderboard.suggestions."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from evaluator.active_learning.suggesting.suggestion import Suggestion as Found
from evaluator.active_learning.suggesting.suggestion import suggestion_from
from evaluator.errors import InputError
from evaluator.suggest.tables import labels_csv, next_csv
from evaluator.suggest.words import doubt, how_chosen, place
from leaderboard import permissions, suggestions
from leaderboard.models import Suggestion
from leaderboard.models.suggestions import FRUITLESS, SuggestionState
from leaderboard.suggest_forms import AskForm, NextForm, embeddings_of
from leaderboard.suggestions import TooManyRounds

LISTED = 20  # rounds on the first page
SHOWN_PROBLEMS = 50
LOOK_AGAIN_S = 3


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def suggest(request: HttpRequest) -> HttpResponse:
    """The form, and the rounds that one asked for before."""
    person = permissions.signed_in(request.user)
    form = AskForm(request.POST or None, request.FILES or None)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            name = form.cleaned_data["name"].strip()
            try:
                asked = suggestions.ask(person, name=name, embeddings=embeddings_of(form), **form.wanted())
            except InputError as error:
                form.refuse(error)
            except TooManyRounds as error:
                form.add_error(None, str(error))
                status = 429
            else:
                return redirect("suggestion", pk=asked.pk)
    latest = Suggestion.objects.filter(owner=person).order_by("-created_at").defer("document", "labels", "earlier")
    context = {
        "form": form, "rounds": latest[:LISTED], "left": suggestions.left_today(person),
        "per_day": settings.SUGGESTIONS_PER_DAY,
    }  # fmt: skip
    return render(request, "suggest/ask.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
def suggestion(request: HttpRequest, pk: UUID) -> HttpResponse:
    """One round: its list and a form for labels. POST asks for the round after it."""
    row = permissions.get_suggestion(request.user, pk)
    if row.state != SuggestionState.DONE:
        if request.method == "POST":
            raise InputError.single("not_done", "This round has no list yet. Wait until it is done.")
        return render(request, "suggest/waiting.html", {
            **_context(row), "look_again_s": LOOK_AGAIN_S, "n_problems": sum(row.problem_counts.values()),
            "problems": row.problems[:SHOWN_PROBLEMS],
        })  # fmt: skip
    found, status = _found(row), 200
    form = NextForm(
        found, request.POST or None, request.FILES or None, initial={"count": row.count, "strategy": row.strategy},
        written=suggestions.written_before(row),
    )  # fmt: skip
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                after = suggestions.ask_again(
                    row, permissions.signed_in(request.user), typed=form.typed(), **form.wanted()
                )
            except InputError as error:
                form.refuse(error)
            except TooManyRounds as error:
                form.add_error(None, str(error))
                status = 429
            else:
                return redirect("suggestion", pk=after.pk)
    return render(request, "suggest/round.html", {**_context(row), **_shown(found, form), "form": form}, status=status)


@require_safe
def csv_list(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The list with its reasons."""
    row = permissions.get_suggestion(request.user, pk)
    return _file(row, "next", next_csv(_done(row)))


@require_safe
def csv_labels(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The labels so far and the images to label, to be filled in and sent back."""
    row = permissions.get_suggestion(request.user, pk)
    return _file(row, "labels", labels_csv(_done(row), dict(sorted(row.labels.items()))))


def _done(row: Suggestion) -> Found:
    if row.state != SuggestionState.DONE:
        raise Http404("this round has no list")
    return _found(row)


def _found(row: Suggestion) -> Found:
    assert row.document is not None, "of a round that is done"
    return suggestion_from(row.document)


def _context(row: Suggestion) -> dict[str, Any]:
    rounds = suggestions.rounds_of(row)
    after = next((each for each in rounds if each.round == row.round + 1 and each.state not in FRUITLESS), None)
    before = next((each for each in rounds if each.round == row.round - 1 and each.state not in FRUITLESS), None)
    return {"row": row, "rounds": rounds, "after": after, "before": before, "is_last": after is None}


def _shown(found: Found, form: NextForm) -> dict[str, Any]:
    return {
        "how": how_chosen(found), "images": found.images, "labelled": dict(found.labelled),
        "n_labels": sum(found.labelled.values()), "has_guesses": any(pick.guess for pick in found.picks),
        "rows": [
            {"order": order, "pick": pick, "doubt": doubt(pick), "place": place(pick), "field": form.label_field(order)}
            for order, pick in enumerate(found.picks, 1)
        ],
    }  # fmt: skip


def _file(row: Suggestion, what: str, content: str) -> HttpResponse:
    response = HttpResponse(content, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{what}-{row.session}-{row.round}.csv"'
    return response
