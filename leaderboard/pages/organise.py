"""The organisers' pages. In: staff; out: queue, workers, audit trail; each act on a page that says what it does."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import F
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from leaderboard import permissions, submissions
from leaderboard.models import Evaluation, Event, QueueSwitch, Submission, WorkerStatus
from leaderboard.permissions import Action
from leaderboard.queue import Queue
from leaderboard.states import EVALUATION_ENDS, EvaluationState, SubmissionState

SHOWN_ROWS, SHOWN_EVENTS = 200, 60
QUIET_HEARTBEATS = 3  # a worker that missed so many is shown as silent
SWITCHES = {
    "pause": ("Pause", submissions.pause_queue, "Its workers finish what they hold and then claim nothing more. "
              "Submissions are still taken and wait."),
    "resume": ("Resume", submissions.resume_queue, "Its workers claim again, at once."),
}  # fmt: skip


@require_safe
def organise(request: HttpRequest) -> HttpResponse:
    """The queue, what runs, the workers, the last acts and changes."""
    permissions.require_staff(request.user)
    state = request.GET.get("state", "open")
    rows = Evaluation.objects.select_related("submission__model", "submission__owner", "submission__release")
    if state == "open":
        rows = rows.exclude(state__in=EVALUATION_ENDS).order_by("created_at")
    elif state in EvaluationState.values:
        rows = rows.filter(state=state).order_by("-created_at")
    else:
        raise Http404("no such state")
    checking = Submission.objects.filter(state__in=(SubmissionState.UPLOADED, SubmissionState.VALIDATING))
    oldest = Evaluation.objects.filter(state=EvaluationState.QUEUED).order_by("created_at").first()
    paused = set(QueueSwitch.objects.filter(paused=True).values_list("queue", flat=True))
    silent = F("heartbeat_at") + timedelta(seconds=settings.HEARTBEAT_S * QUIET_HEARTBEATS)
    workers = WorkerStatus.objects.select_related("evaluation__submission__model").annotate(silent_at=silent, now=Now())
    shown_workers = [_worker(worker) for worker in workers]
    context = {
        "rows": rows[:SHOWN_ROWS], "state": state, "states": ["open", *EvaluationState.values],
        "checking": checking.select_related("model", "owner", "release").order_by("created_at")[:SHOWN_ROWS],
        "oldest": oldest, "queues": [(queue.value, queue.value in paused) for queue in Queue],
        "workers": shown_workers, "n_sick": sum(worker["state"] == "sick" for worker in shown_workers),
        "events": Event.objects.select_related("submission__model", "evaluation").order_by("-id")[:SHOWN_EVENTS],
    }  # fmt: skip
    return render(request, "organise/organise.html", context)


WORKER_TONES = {"sick": "bad", "silent": "bad", "working": "busy", "idle": "good"}


def _worker(worker: Any) -> dict[str, Any]:
    """A worker with its state in one word, and its facts apart from speed and memory, which have columns."""
    info = dict(worker.info)
    sick = info.pop("sick", "")
    progress = worker.evaluation.progress if worker.evaluation else {}
    state = "silent" if worker.silent_at < worker.now else "working" if worker.evaluation else "idle"
    state = "sick" if sick and state != "silent" else state
    return {
        "worker": worker, "state": state, "tone": WORKER_TONES[state], "sick": sick,
        "images_per_s": info.pop("images_per_s", None) or progress.get("images_per_s"),
        "memory": info.pop("peak_memory_bytes", None), "facts": info,
    }  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
def switch(request: HttpRequest, queue: str, act: str) -> HttpResponse:
    """Pause or resume a queue."""
    staff = permissions.require_staff(request.user)
    if queue not in list(Queue) or act not in SWITCHES:
        raise Http404("no such queue or act")
    word, use_case, consequence = SWITCHES[act]
    if request.method != "POST":
        return _confirm(request, f"{word} the queue {queue}?", consequence, f"{word} {queue}")
    use_case(Queue(queue), by=staff)
    messages.success(request, f"{word}d: {queue}.")
    return redirect("organise")


@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Stop one evaluation."""
    staff = permissions.require_staff(request.user)
    found = permissions.get_evaluation(staff, pk, to=Action.CANCEL)
    if request.method != "POST":
        consequence = "Its worker stops within one heartbeat; nothing is kept of it. It costs its author nothing, "
        return _confirm(request, f"Cancel {found.submission.model} on {found.split}?",
                        consequence + "and can be started anew with retry.", "Cancel the evaluation")  # fmt: skip
    submissions.cancel_evaluation(found, by=staff)
    messages.success(request, "Cancelled.")
    return redirect("organise")


@require_http_methods(["GET", "HEAD", "POST"])
def retry(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Start a failed or cancelled evaluation anew."""
    staff = permissions.require_staff(request.user)
    found = permissions.get_evaluation(staff, pk, to=Action.RETRY)
    if request.method != "POST":
        consequence = "A new evaluation of the same files is queued; the old one stays as it ended, with its log."
        return _confirm(request, f"Retry {found.submission.model} on {found.split}?", consequence, "Queue it again")
    submissions.retry_evaluation(found, by=staff)
    messages.success(request, "Queued again.")
    return redirect("organise")


def _confirm(request: HttpRequest, heading: str, consequence: str, button: str) -> HttpResponse:
    context = {"heading": heading, "consequence": consequence, "button": button, "back": reverse("organise")}
    return render(request, "organise/confirm.html", context)
