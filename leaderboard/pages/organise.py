"""The organisers' pages. In: staff; out: queue, workers, audit trail; each act on a page that says what it does."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from evaluator.errors import InputError
from leaderboard import architectures, no_image, permissions, submissions
from leaderboard.label_efficiency import encoders, studies
from leaderboard.models import Evaluation, Event, QueueSwitch, Release, Study, Submission, WorkerStatus
from leaderboard.permissions import Action
from leaderboard.queue import Queue
from leaderboard.states import EVALUATION_ENDS, STUDY_ENDS, EvaluationState, StudyState, SubmissionState

SHOWN_ROWS, SHOWN_EVENTS = 200, 60
OF_EVENTS = ("submission__model", "evaluation", "study__submission__model")
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
    workers = WorkerStatus.objects.select_related("evaluation__submission__model", "study__submission__model")
    workers = workers.annotate(silent_at=silent, now=Now())
    shown_workers = [_worker(worker) for worker in workers]
    context = {
        "rows": rows[:SHOWN_ROWS], "state": state, "states": ["open", *EvaluationState.values],
        "checking": checking.select_related("model", "owner", "release").order_by("created_at")[:SHOWN_ROWS],
        "oldest": oldest, "queues": [(queue.value, queue.value in paused) for queue in Queue],
        "studies": _studies(state), "encoders": encoders.candidates(),
        "releases": Release.objects.order_by("-pk"),
        "workers": shown_workers, "n_sick": sum(worker["state"] == "sick" for worker in shown_workers),
        "broken": architectures.broken(),
        "events": Event.objects.select_related(*OF_EVENTS).order_by("-id")[:SHOWN_EVENTS],
    }  # fmt: skip
    return render(request, "organise/organise.html", context)


WORKER_TONES = {"sick": "bad", "silent": "bad", "working": "busy", "idle": "good"}


def _worker(worker: Any) -> dict[str, Any]:
    """A worker with its state in one word, and its facts apart from speed and memory, which have columns."""
    info = dict(worker.info)
    sick = info.pop("sick", "")
    progress = worker.evaluation.progress if worker.evaluation else {}
    busy = worker.evaluation or worker.study
    state = "silent" if worker.silent_at < worker.now else "working" if busy else "idle"
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


@require_http_methods(["GET", "HEAD", "POST"])
def ask_without_images(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Queue the no-image baseline of a published checkpoint."""
    staff = permissions.require_staff(request.user)
    found = permissions.get_submission(staff, pk)
    if request.method != "POST":
        consequence = ("The model is shown a grey image in place of each and answers every split again. What it then "
                       "gets right stands on the boards as an unranked baseline, named after the model. Asking twice "
                       "does nothing more; splits that failed are started anew.")  # fmt: skip
        return _confirm(request, f"Ask {found.model} without images?", consequence, "Queue the no-image baseline")
    try:
        queued = no_image.ask_without_images(found, by=staff)
    except InputError as error:
        messages.error(request, " ".join(problem.message for problem in error.problems))
        return redirect("organise")
    done = f"Queued on {', '.join(each.split for each in queued)}." if queued else "Nothing to do: it stands already."
    messages.success(request, done)
    return redirect("organise")


@require_http_methods(["GET", "HEAD", "POST"])
def reference_encoder(request: HttpRequest, slug: str) -> HttpResponse:
    """Mark a model as a reference encoder, or take the mark away."""
    staff = permissions.require_staff(request.user)
    found = permissions.get_model(staff, slug)
    if found.is_baseline:
        raise Http404("a baseline is no encoder")
    if request.method != "POST":
        if found.is_reference_encoder:
            heading, button = f"Compare strategies on {found} no longer?", "Take the mark away"
            consequence = "What was computed with it stays stored and is shown no longer; the mark brings it back."
        else:
            heading, button = f"Compare query strategies on {found}?", "Mark as reference encoder"
            consequence = ("Strategies are compared on its embeddings from now on. Nothing runs by itself: press "
                           "“Queue all that is missing” there, or ask for a part with "
                           "manage.py label_efficiency RELEASE --track b.")  # fmt: skip
        return _confirm(request, heading, consequence, button)
    studies.mark_reference_encoder(found, marked=not found.is_reference_encoder, by=staff)
    messages.success(request, f"{'Unmarked' if found.is_reference_encoder else 'Marked'}: {found}.")
    return redirect("organise")


def _studies(state: str) -> QuerySet[Study]:
    """The studies in the evaluations' state that is looked at, those at work first; other words are theirs alone."""
    rows = Study.objects.select_related("submission__model", "submission__release")
    if state == "open":
        return rows.exclude(state__in=STUDY_ENDS).order_by("-state", "created_at")[:SHOWN_ROWS]
    done = {EvaluationState.SCORED.value: StudyState.DONE.value}.get(state, state)
    return rows.filter(state=done).order_by("-created_at")[:SHOWN_ROWS]


def _confirm(request: HttpRequest, heading: str, consequence: str, button: str) -> HttpResponse:
    context = {"heading": heading, "consequence": consequence, "button": button, "back": reverse("organise")}
    return render(request, "organise/confirm.html", context)
