"""Claiming work. In: a queue; out: one piece of work under a lease and a fencing token, fair between users.

Every comparison of times is the database's: worker clocks are never trusted. Whoever writes with a token that is no
longer the latest is refused by leaderboard.states.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Case, Count, Exists, F, IntegerField, Max, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce, Now

from leaderboard import states
from leaderboard.models import Evaluation, QueueSwitch, Study, Submission
from leaderboard.models.submissions import Purpose
from leaderboard.queue import Queue
from leaderboard.states import EvaluationState, StudyState, SubmissionState

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One piece of work held by this worker: a submission to validate, an evaluation to run or score, a study."""

    queue: Queue
    pk: UUID
    token: int

    @property
    def table(self) -> type[Submission] | type[Evaluation] | type[Study]:
        return TABLE[self.queue]

    def row(self) -> Any:
        """The row as it stands now, ours or not."""
        return self.table._default_manager.get(pk=self.pk)

    def held(self) -> QuerySet[Any]:
        """The row, if this claim still holds it."""
        return self.table._default_manager.filter(pk=self.pk, token=self.token, state=HELD_STATE[self.queue])


TABLE: dict[Queue, type[Submission] | type[Evaluation] | type[Study]] = {
    Queue.VALIDATE: Submission, Queue.EVALUATE: Evaluation, Queue.SCORE: Evaluation, Queue.STUDY: Study,
}  # fmt: skip
HELD_STATE = {
    Queue.VALIDATE: SubmissionState.VALIDATING,
    Queue.EVALUATE: EvaluationState.RUNNING,
    Queue.SCORE: EvaluationState.ANSWERED,  # scoring is no state of its own: only the lease tells
    Queue.STUDY: StudyState.RUNNING,
}


def waiting(queue: Queue) -> QuerySet[Any]:
    """The rows that a worker of the queue could claim now, whoever owns them."""
    due = Q(not_before=None) | Q(not_before__lte=Now())
    if queue is Queue.VALIDATE:
        return Submission.objects.filter(due, state=SubmissionState.UPLOADED)
    if queue is Queue.EVALUATE:
        return Evaluation.objects.filter(due, state=EvaluationState.QUEUED)
    if queue is Queue.STUDY:
        return _studies_in_turn(Study.objects.filter(due, state=StudyState.QUEUED))
    return Evaluation.objects.filter(due, state=EvaluationState.ANSWERED, lease_until=None)


def is_paused(queue: Queue) -> bool:
    """Whether organisers paused the queue."""
    return QueueSwitch.objects.filter(queue=queue, paused=True).exists()


def claim(queue: Queue, worker: str) -> Claim | None:
    """Take the next piece of work, or None. Claims of one queue go one after the other, so that the limit of running
    evaluations per user holds exactly; rows that others hold locked are skipped."""
    with transaction.atomic():
        _one_at_a_time(queue)
        if is_paused(queue):
            return None
        row = _next_in_turn(queue).select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
        if row is None:
            return None
        lease = {
            "token": row.token + 1, "lease_until": Now() + timedelta(seconds=settings.LEASE_S), "worker": worker,
            "heartbeat_at": Now(), "started_at": Now(), "attempts": row.attempts + 1, "not_before": None,
        }  # fmt: skip
        if queue is Queue.VALIDATE:
            states.advance_submission(row, SubmissionState.VALIDATING, **lease)
        elif queue is Queue.EVALUATE:
            states.advance_evaluation(row, EvaluationState.RUNNING, **lease)
        elif queue is Queue.STUDY:
            states.advance_study(row, StudyState.RUNNING, **lease)
        else:
            Evaluation.objects.filter(pk=row.pk).update(**lease)
        return Claim(queue=queue, pk=row.pk, token=lease["token"])


def renew(claim: Claim) -> bool:
    """Prolong the lease; False when the claim is no longer ours (expired and taken, cancelled, withdrawn)."""
    lease = {"lease_until": Now() + timedelta(seconds=settings.LEASE_S), "heartbeat_at": Now()}
    return claim.held().update(**lease) == 1


def give_back(claim: Claim, note: str) -> None:
    """Return unfinished work at once, its attempt uncounted: the worker is ending, the work is not to blame."""
    row = claim.row()
    changes: dict[str, Any] = {"note": note, "held_token": claim.token}
    row.attempts = max(row.attempts - 1, 0)  # a study that came on has none
    if claim.queue is Queue.VALIDATE:
        states.advance_submission(row, SubmissionState.UPLOADED, attempts=row.attempts, **changes)
    elif claim.queue is Queue.EVALUATE:
        states.advance_evaluation(row, EvaluationState.QUEUED, attempts=row.attempts, **changes)
    elif claim.queue is Queue.STUDY:
        states.advance_study(row, StudyState.QUEUED, attempts=row.attempts, **changes)
    else:
        states.release_lease(row, attempts=row.attempts, **changes)


class Heartbeat:
    """Renews a claim from a thread of its own while the block runs; `lost()` says when to stop at once.

    A claim is lost when the database says so, or when it could not be asked for so long that another worker may
    soon hold the lease. Frozen processes wake up with a lost claim: the thread's clock runs on.
    """

    def __init__(self, claim: Claim, beat: Callable[[], None] | None = None) -> None:
        self._claim = claim
        self._beat = beat or (lambda: None)
        self._done = threading.Event()
        self._lost = threading.Event()
        self._renewed = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat {claim.pk}", daemon=True)

    def lost(self) -> bool:
        """Whether the work must stop without writing anything."""
        too_long = time.monotonic() - self._renewed > settings.LEASE_S - settings.HEARTBEAT_S
        return self._lost.is_set() or too_long

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(settings.HEARTBEAT_S):
            asked = time.monotonic()
            try:
                held = renew(self._claim)
                self._beat()
            except DatabaseError as error:
                log.warning("heartbeat of %s: %s", self._claim.pk, error)
                connection.close()
                continue
            if not held:
                self._lost.set()
                break
            self._renewed = asked
        connection.close()


def _studies_in_turn(rows: QuerySet[Study]) -> QuerySet[Study]:
    """Those whose release has nothing to evaluate at this moment, and those that waited for that too long already."""
    states_ahead = [EvaluationState.RUNNING]
    if not is_paused(Queue.EVALUATE):
        states_ahead.append(EvaluationState.QUEUED)
    ahead = Evaluation.objects.filter(state__in=states_ahead, submission__release=OuterRef("submission__release"))
    out_of_patience = Q(created_at__lt=Now() - timedelta(seconds=settings.STUDY_PATIENCE_S))
    return rows.filter(~Exists(ahead) | out_of_patience)


def _next_in_turn(queue: Queue) -> QuerySet[Any]:
    """What is waiting, in the order of claims: users with less running first, then those served longest ago.

    Runs for embeddings alone come after all other evaluations, and count against nobody.
    """
    owner = "owner" if queue is Queue.VALIDATE else "submission__owner"
    rows = waiting(queue)
    siblings = rows.model.objects.filter(**{owner: OuterRef(owner)}).order_by().values(owner)
    held = siblings.filter(state=HELD_STATE[queue]).exclude(lease_until=None)
    if queue is Queue.EVALUATE:
        held = held.exclude(purpose=Purpose.EMBED)
    running = held.values(n=Count("pk"))
    last = siblings.values(at=Max("started_at"))
    rows = rows.annotate(n_running=Coalesce(Subquery(running), 0), last_served=Subquery(last))
    order = ("n_running", F("last_served").asc(nulls_first=True), "created_at", "pk")
    if queue is Queue.EVALUATE:
        embeds = Case(When(purpose=Purpose.EMBED, then=Value(1)), default=Value(0), output_field=IntegerField())
        may_run = Q(later=1) | Q(n_running__lt=settings.ACTIVE_EVALUATIONS_PER_USER)
        return rows.annotate(later=embeds).filter(may_run).order_by("later", *order)
    return rows.order_by(*order)


def _one_at_a_time(queue: Queue) -> None:
    """Wait for other claimers of this queue; the lock ends with the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"leaderboard.claim.{queue}"])
