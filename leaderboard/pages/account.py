"""A person's own pages. In: a signed-in user; out: their submissions, models and API tokens."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from evaluator.errors import InputError
from leaderboard import permissions, quota, submissions, tokens
from leaderboard.forms import TokenForm
from leaderboard.models import Model, Submission

SHOWN_SUBMISSIONS = 200


@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Submissions with their state, models, and what is left of today's quota."""
    person = permissions.signed_in(request.user)
    rows = Submission.objects.filter(owner=person).select_related("model", "release")
    rows = rows.prefetch_related("evaluations")[:SHOWN_SUBMISSIONS]
    context = {
        "submissions": [(row, submissions.combined_state(row)) for row in rows],
        "models": Model.objects.filter(owner=person),
        "left": quota.left_today(person),
    }
    return render(request, "account/account.html", context)


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens_page(request: HttpRequest) -> HttpResponse:
    """The person's API tokens; a new one's text is in the answer to its creation and nowhere else."""
    person = permissions.signed_in(request.user)
    form = TokenForm(request.POST or None)
    created = None
    if request.method == "POST" and form.is_valid():
        try:
            created = tokens.create(person, form.cleaned_data["name"], form.lifetime())
            form = TokenForm()
        except InputError as error:
            form.add_error(None, error.problems[0].message)
    context = {"form": form, "tokens": tokens.owned_by(person), "created": created}
    return render(request, "account/tokens.html", context, status=400 if form.errors else 200)


@login_required
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """End a token at once."""
    if not tokens.revoke(permissions.signed_in(request.user), pk):
        raise Http404("no such token")
    messages.success(request, "The token was revoked; whatever used it is refused from now on.")
    return redirect("tokens")
