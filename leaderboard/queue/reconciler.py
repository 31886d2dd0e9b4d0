"""Putting right what crashes left behind. In: nothing; out: expired work re-queued or failed, lost rings rung again.

Safe to run ten times at once: one works, the others return. Its clock is a process of its own (manage.py reconcile).
"""

import logging
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now

from leaderboard import outcomes, storage, suggestions
from leaderboard.models import AnalysisRequest, BoardRefresh, Evaluation, Study, Submission, WorkerStatus
from leaderboard.queue import Queue, claims, dispatch
from leaderboard.states import EvaluationState, StudyState, SubmissionState

log = logging.getLogger(__name__)
FORGET_WORKER_LEASES = 20  # a worker silent for so many leases is no longer listed


def reconcile() -> int | None:
    """Requeue or end what lost its worker, forget dead workers, ring for what waits. Returns how many leases had
    expired, or None when another reconciler is at work."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('leaderboard.reconcile'))")
            if not cursor.fetchone()[0]:
                return None
        expired = [
            *_expired(Submission, SubmissionState.VALIDATING),
            *_expired(Evaluation, EvaluationState.RUNNING),
            *_expired(Evaluation, EvaluationState.ANSWERED),
            *_expired(Study, StudyState.RUNNING),
        ]
        for row in expired:
            outcomes.try_again(row, "its worker was lost")
        silent = Now() - timedelta(seconds=FORGET_WORKER_LEASES * settings.LEASE_S)
        WorkerStatus.objects.filter(heartbeat_at__lt=silent).delete()
    storage.remove_stale_uploads()
    for queue in Queue:
        dispatch.ring_for(queue, _unserved(queue))
    return len(expired)


def run(stop: Any) -> None:
    """Reconcile every RECONCILE_S seconds until `stop` (a threading.Event) is set; outlives the database's absence."""
    while not stop.wait(settings.RECONCILE_S):
        started = time.monotonic()
        try:
            if found := reconcile():
                log.warning("re-queued or ended %d pieces of work whose worker was lost", found)
        except DatabaseError as error:
            log.warning("reconciler waits for the database: %s", error)
            connection.close()
        log.debug("reconciled in %.0f ms", 1000 * (time.monotonic() - started))


def _expired(table: type[Submission] | type[Evaluation] | type[Study], state: str) -> list[Any]:
    rows = table.objects.filter(state=state, lease_until__lt=Now())
    return list(rows.select_for_update(skip_locked=True, no_key=True))


def _unserved(queue: Queue) -> int:
    """Pieces of work that wait for a worker of this queue."""
    if claims.is_paused(queue):
        return 0
    waiting = claims.waiting(queue).count()
    if queue is suggestions.QUEUE:
        waiting += suggestions.waiting().count()
    if queue is Queue.SCORE:
        waiting += BoardRefresh.objects.count() + AnalysisRequest.objects.count()
    return waiting
