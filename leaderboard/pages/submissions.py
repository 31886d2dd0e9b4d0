"""Submitting, and one submission's page. In: forms and addresses; out: pages; the rules stand in the use cases."""

import csv
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from evaluator.errors import InputError
from leaderboard import bases, detail, permissions, publication, quota, submissions
from leaderboard.architectures import registered_or_none
from leaderboard.forms import SUBMIT_FORMS, CheckpointForm, SubmitForm
from leaderboard.lineage import choices, reading
from leaderboard.models import LogLine, Model, Submission, User
from leaderboard.models.submissions import SubmissionKind
from leaderboard.pages import architectures, reports, states
from leaderboard.pages.labels import efficiency_section
from leaderboard.pages.tuned import pairs
from leaderboard.permissions import Action
from leaderboard.quota import QuotaExceeded

LOG_TAIL = 40
PREFILLED = ("release", "model", "split", "architecture", "base", "adapter_base")
SHOW = "show"  # the button that only asks what the chosen architecture is; sent without the files


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def submit(request: HttpRequest) -> HttpResponse:
    """The form of a checkpoint or a prediction file; every problem at once, beside its field and on top."""
    person = permissions.signed_in(request.user)
    asked = request.POST if request.method == "POST" else request.GET
    kind = asked.get("kind", "")
    kind = kind if kind in SUBMIT_FORMS else SubmissionKind.CHECKPOINT.value
    if request.method != "POST" or SHOW in request.POST:
        initial = {name: asked[name] for name in (*PREFILLED, "publish") if name in asked}
        return _submit_page(request, person, kind, SUBMIT_FORMS[kind](person, initial=initial))
    form = SUBMIT_FORMS[kind](person, request.POST, request.FILES)
    if not form.is_valid():
        return _submit_page(request, person, kind, form, status=400)
    try:
        submission = submissions.submit(person, form.asked())
    except InputError as error:
        form.refuse(error)
        return _submit_page(request, person, kind, form, status=400)
    except PermissionDenied as error:
        form.add_error("model", str(error).capitalize() + ".")
        return _submit_page(request, person, kind, form, status=403)
    except QuotaExceeded as error:
        form.add_error(None, str(error).capitalize() + ".")
        return _submit_page(request, person, kind, form, status=429)
    return redirect("submission", pk=submission.pk)


def _submit_page(request: HttpRequest, person: User, kind: str, form: SubmitForm, *, status: int = 200) -> HttpResponse:
    architecture = form.chosen_architecture() if isinstance(form, CheckpointForm) else None
    context = {
        "form": form, "kind": kind, "kinds": list(SUBMIT_FORMS), "left": quota.left_today(person),
        "per_day": settings.SUBMISSIONS_PER_DAY, "limit": settings.MAX_UPLOAD_BYTES,
        "own_models": Model.objects.filter(owner=person), "adapter_bases": bases.suggestions(person),
        "bases": choices.bases_to_name(person),
        **architectures.chosen_context(architecture),
    }  # fmt: skip
    return render(request, "submissions/submit.html", context, status=status)


@require_safe
def submission(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Where it stands; its report once scored; what is wrong with it when it was rejected."""
    context = _context(request, pk)
    pair = pairs.shown(reading.of_submission(request.user, context["submission"]), request.user)
    page = {
        "pair": pair, "made_of": pairs.made_of(context["submission"], request.user),
        "efficiency": efficiency_section.section(request.user, context["submission"]),
        "has_figures": pair["has_figures"], "sweeps": pair["is_sweeping"],
    }  # fmt: skip
    return render(request, "submissions/submission.html", context | page)


@require_safe
def live(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The part of the page that changes by itself, fetched again while something goes on."""
    context = _context(request, pk)
    response = render(request, "submissions/_live.html", context)
    if not context["detail"].moves:
        response["HX-Refresh"] = "true"  # it came to an end: the whole page has more to show now
    return response


def _context(request: HttpRequest, pk: UUID) -> dict[str, Any]:
    found = permissions.get_submission(request.user, pk)
    read = detail.read_detail(request.user, found)
    log = LogLine.objects.filter(evaluation__submission=found).order_by("-id")[:LOG_TAIL] if read.inspects else []
    return {
        "submission": found, "detail": read, "steps": states.steps(read), "tone": states.tone(read.state),
        "reports": [reports.shown(each, found.release) for each in read.evaluations if each.report],
        "log": list(log)[::-1], "n_problems": sum(found.problem_counts.values()),
        **architectures.chosen_context(registered_or_none(found.architecture)),
        "again": {name: value for name in PREFILLED if (value := _prefill(found, name))},
    }  # fmt: skip


def _prefill(found: Submission, name: str) -> str:
    if name in ("base", "adapter_base") and bases.stands_on_base(found) == (name == "base"):
        return ""  # each kind of checkpoint names its base in a field of its own
    if name == "adapter_base":
        return str(found.base_submission_id or found.architecture)
    value = getattr(found, name)
    return getattr(value, "slug", value) or ""


@login_required
@require_safe
def problems(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What is wrong with a rejected file, as CSV."""
    found = permissions.get_submission(request.user, pk, to=Action.INSPECT)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="problems-{found.pk}.csv"'
    writer = csv.writer(response)
    writer.writerow(["row", "field", "code", "message"])
    for problem in found.problems:
        writer.writerow([problem.get(name, "") for name in ("row", "field", "code", "message")])
    return response


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def publish(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Put the scored reports on the boards, after saying what will be seen by whom."""
    found = permissions.get_submission(request.user, pk, to=Action.PUBLISH)
    if request.method != "POST":
        read = detail.read_detail(request.user, found)
        return render(request, "submissions/publish.html", {"submission": found, "detail": read})
    entries = publication.publish_all(found, by=permissions.signed_in(request.user))
    if entries:
        messages.success(request, "Published. The boards are being rebuilt and show it within seconds.")
    else:
        messages.error(request, "There is no report to publish yet.")
    return redirect("submission", pk=pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Take a submission back for good, after saying what that means."""
    found = permissions.get_submission(request.user, pk, to=Action.WITHDRAW)
    if request.method != "POST":
        return render(request, "submissions/withdraw.html", {"submission": found})
    submissions.withdraw(found, by=permissions.signed_in(request.user))
    messages.success(request, "Withdrawn. A tombstone stays where it was published.")
    return redirect("submission", pk=pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Stop everything of a submission that has not ended."""
    found = permissions.get_submission(request.user, pk, to=Action.CANCEL)
    if request.method != "POST":
        return render(request, "submissions/cancel.html", {"submission": found})
    n_stopped = submissions.cancel(found, by=permissions.signed_in(request.user))
    messages.success(request, f"Cancelled {n_stopped} evaluation{'' if n_stopped == 1 else 's'}. It cost nothing.")
    return redirect("submission", pk=pk)
