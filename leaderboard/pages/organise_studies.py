"""Asking for studies on the organisers' pages. In: staff and a release; out: the consequence, then the act."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from evaluator.active_learning.names import Strategy
from leaderboard import permissions
from leaderboard.label_efficiency import grid
from leaderboard.label_efficiency.encoders import reference_encoders


@require_http_methods(["GET", "HEAD", "POST"])
def ask_for_all(request: HttpRequest, release: str) -> HttpResponse:
    """Queue every study of a release that is missing: the full grid."""
    staff = permissions.require_staff(request.user)
    found = permissions.get_release(staff, release)
    if request.method == "POST":
        asked = list(grid.ask_track_a(found, by=staff))
        if reference_encoders(found):
            asked += grid.ask_track_b(found, by=staff)
        messages.success(request, f"{len(asked)} asked for." if asked else "Nothing to do: all of it stands or waits.")
        return redirect("organise")
    n_encoders = len(reference_encoders(found))
    consequence = (
        f"This asks for the label efficiency of every checkpoint of {found} and, on the embeddings of its {n_encoders} "
        f"reference encoder{'' if n_encoders == 1 else 's'}, for all {len(Strategy)} strategies from "
        f"{len(grid.COMMON_STARTS)} starts on every fine dataset. What stands already is left alone. It runs at low "
        "priority in a queue of its own, which can be paused, and may take hours."
    )
    context = {
        "heading": f"Queue all studies of {found}?", "consequence": consequence, "button": "Queue all that is missing",
        "back": reverse("organise"), "command": f"python manage.py label_efficiency {found.slug}",
    }  # fmt: skip
    return render(request, "organise/confirm.html", context)
