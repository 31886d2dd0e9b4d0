"""The doorbell: the only module that knows RQ. A ring says "there may be work"; what work, the database says.

Losing a ring is harmless (the reconciler rings again), ringing twice is harmless (a second claim finds nothing), so
nothing here is ever an error: submissions are taken while Redis is down.
"""

import logging
import signal
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any
from uuid import uuid4

import django_rq
import rq
from django.conf import settings
from django.db import transaction
from redis import Redis
from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.worker import WorkerStatus

from leaderboard.queue import Queue

log = logging.getLogger(__name__)
JOB = "leaderboard.workers.drain.drain"
JOB_RECORD_S = 300  # how long RQ's dashboard shows a finished ring
MOST_RINGS = 8  # a ring serves until nothing is left, so more than the workers of a host are never needed

stopping = threading.Event()  # set in a worker process that was asked to end


def ring(queue: Queue) -> None:
    """Ring for one queue once the current transaction has committed."""
    transaction.on_commit(partial(ring_now, queue), robust=True)


def ring_now(queue: Queue) -> None:
    """Ring once, unless enough rings wait already. Redis being down is logged and forgotten."""
    _ring(queue, lambda waiting: 1)


def ring_for(queue: Queue, n_pieces: int) -> None:
    """Ring until as many rings wait as there are pieces of work: those of Redis may be lost."""
    _ring(queue, lambda waiting: n_pieces - waiting)


def rings_waiting(queue: Queue) -> int:
    """How many rings no worker has answered yet. Raises RedisError when Redis is down."""
    return _bell(queue).count


def serve(queue: Queue, name: str) -> None:
    """Answer the bell of one queue in this process until told to stop (SIGTERM, SIGINT) or Redis is lost."""
    bell = django_rq.get_queue(queue)
    # rq.scheduler is off: no schedule of ours lives in Redis.
    RingWorker([bell], name=name, connection=bell.connection, serializer=bell.serializer).work(with_scheduler=False)


def end_after_this() -> None:
    """Let this worker process end as if it had been told to, once it is done with the ring it answers."""
    signal.raise_signal(signal.SIGTERM)


class RingWorker(SimpleWorker):
    """Runs jobs in its own process, never a fork: the database connection stays whole and a killed worker leaves
    no work-horse behind that would go on writing."""

    max_connection_wait_time = 2.0  # seconds between tries while Redis is away

    def request_stop(self, signum: int, frame: Any) -> None:
        """End after the current job, which sees `stopping` and gives its work back."""
        stopping.set()
        if self.get_state() != WorkerStatus.BUSY:
            raise StopRequested
        self._stop_requested = True

    def _install_signal_handlers(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.request_stop)


def _ring(queue: Queue, wanted: Callable[[int], int]) -> None:
    try:
        bell = _bell(queue)
        waiting = bell.count
        for _ in range(min(wanted(waiting), MOST_RINGS - waiting)):
            bell.enqueue(JOB, str(queue), job_id=str(uuid4()), result_ttl=JOB_RECORD_S, failure_ttl=JOB_RECORD_S)
    except (RedisError, OSError) as error:
        log.warning("could not ring %s, the reconciler will: %s", queue, error)


def _bell(queue: Queue) -> rq.Queue:
    return django_rq.get_queue(queue, connection=_connection(settings.REDIS_URL))


@cache
def _connection(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=None)
