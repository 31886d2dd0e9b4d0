"""What a ring sets off. In: a queue; out: claimed work done, piece by piece, until nothing waits or the worker ends.

The outermost frame of a worker: the only place that turns exceptions into ends of work.
"""

import logging
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from evaluator.errors import EvaluationFailed, InputError
from leaderboard import outcomes, states, suggestions
from leaderboard.lineage import analyses
from leaderboard.queue import Queue, claims, dispatch
from leaderboard.queue.claims import Claim, Heartbeat
from leaderboard.states import TransitionRefused
from leaderboard.workers import boards, fitness, run, score, study, suggest, validate
from leaderboard.workers.presence import Presence, worker_name

log = logging.getLogger(__name__)
LOST_DATABASE = (OperationalError, InterfaceError)
Handler = Callable[[Claim, Callable[[], bool]], None]
HANDLERS: dict[Queue, Handler] = {
    Queue.VALIDATE: validate.validate,
    Queue.EVALUATE: run.run,
    Queue.SCORE: score.score,
    Queue.STUDY: study.study,
}


def drain(queue_name: str) -> int:
    """Claim and do work of one queue until none waits; returns how many pieces were taken."""
    queue, taken = Queue(queue_name), 0
    worker = Presence.current.name if Presence.current else worker_name(queue)
    close_old_connections()  # the database may have been restarted since the last ring
    try:
        while not dispatch.stopping.is_set():
            if claim := claims.claim(queue, worker):
                work(claim, HANDLERS[queue])
                taken += 1
            elif claims.is_paused(queue) or not MORE.get(queue, lambda: 0)():
                break
    except LOST_DATABASE as error:
        log.warning("%s lost the database, what it held comes back when its lease ends: %s", worker, error)
        connection.close()
    return taken


def work(claim: Claim, handler: Handler) -> None:
    """Do one claimed piece of work under a heartbeat and see to its end, however it ends."""
    with Heartbeat(claim) as heartbeat:
        try:
            handler(claim, lambda: heartbeat.lost() or dispatch.stopping.is_set())
        except LOST_DATABASE:
            raise
        except Exception as error:
            if dispatch.stopping.is_set() and not heartbeat.lost():
                _unless_fenced(claim, claims.give_back, claim, "the worker was stopped")
            elif isinstance(error, TransitionRefused) or heartbeat.lost():
                _record_fence(claim, str(error))
            else:
                _unless_fenced(claim, _end, claim, error)
            if fitness.is_sick(error):
                dispatch.end_after_this()


def _rebuild_boards() -> int:
    try:
        return boards.rebuild_requested()
    except LOST_DATABASE:
        raise
    except Exception:
        log.exception("boards could not be rebuilt; the reconciler will have it tried again")
        return 0


def _serve_analyses() -> int:
    served = 0
    for link in analyses.requested():
        try:
            served += analyses.serve(link)
        except LOST_DATABASE:
            raise
        except Exception:
            log.exception("the analyses of link %s could not be made; the reconciler will have it tried again", link)
    return served


def _serve_scorer() -> int:
    return _rebuild_boards() + _serve_analyses()


# What workers of a queue do when nothing is left to claim; how many pieces they found.
MORE: dict[Queue, Callable[[], int]] = {Queue.SCORE: _serve_scorer, suggestions.QUEUE: suggest.serve_next}


def _end(claim: Claim, error: Exception) -> None:
    row = claim.row()
    if isinstance(error, EvaluationFailed) and not error.retry:
        error = InputError.single(error.code, error.message)
    if isinstance(error, InputError) and claim.queue is Queue.VALIDATE:
        outcomes.reject(row, error, held_token=claim.token)
    elif isinstance(error, InputError):
        outcomes.fail(row, error.problems[0].code, error.problems[0].message, held_token=claim.token)
    elif isinstance(error, EvaluationFailed):
        log.warning("%s will be tried again: %s", claim.pk, error)
        outcomes.try_again(row, error.code, held_token=claim.token)
    else:
        log.error("a bug or a broken machine stopped %s", claim.pk, exc_info=error)
        outcomes.try_again(row, f"internal error: {type(error).__name__}", held_token=claim.token)


def _unless_fenced(claim: Claim, act: Callable[..., None], *args: Any) -> None:
    try:
        act(*args)
    except TransitionRefused as refused:
        _record_fence(claim, str(refused))


def _record_fence(claim: Claim, note: str) -> None:
    """A worker that lost its claim wrote nothing; say so in the history of what it held."""
    log.warning("fenced: %s", note)
    row = claim.row()
    if claim.queue is Queue.STUDY:
        subject = {"study": row}
    else:
        subject = (
            {"submission": row} if claim.queue is Queue.VALIDATE else {"submission": row.submission, "evaluation": row}
        )
    states.record(to_state="fenced", token=claim.token, note=note, **subject)
