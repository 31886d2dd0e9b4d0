"""Showing that a worker lives. In: its queue; out: a row with its heartbeat, removed when it ends in order."""

import logging
import os
import socket
import threading
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models.functions import Now

from evaluator.sandbox import sandbox_level
from leaderboard.models import Evaluation, Study, WorkerStatus
from leaderboard.queue import Queue

log = logging.getLogger(__name__)


def worker_name(queue: Queue) -> str:
    """A name no other worker process has or had."""
    return f"{queue}-{socket.gethostname()[:60]}-{os.getpid()}-{uuid4().hex[:6]}"


class Presence:
    """Keeps this process's WorkerStatus row fresh while the block runs; lives on while the database is away."""

    current: "Presence | None" = None  # of this process

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.name = worker_name(queue)
        self._done = threading.Event()
        self._facts: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def say(self, **facts: Any) -> None:
        """Show these facts beside the worker from its next heartbeat on; None takes one back."""
        told = {**self._facts, **facts}
        self._facts = {name: value for name, value in told.items() if value is not None}

    def __enter__(self) -> "Presence":
        Presence.current = self
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._done.set()
        self._thread.join()
        Presence.current = None

    def _run(self) -> None:
        while True:
            try:
                self._report()
            except DatabaseError as error:
                log.warning("presence of %s: %s", self.name, error)
                connection.close()
            if self._done.wait(settings.HEARTBEAT_S):
                break
        try:
            WorkerStatus.objects.filter(name=self.name).delete()
        except DatabaseError as error:
            log.warning("presence of %s: %s", self.name, error)
        connection.close()

    def _report(self) -> None:
        held = Evaluation.objects.filter(worker=self.name).first()
        study = Study.objects.filter(worker=self.name).first() if self.queue is Queue.STUDY else None
        info = {"sandbox": sandbox_level().name.lower(), **self._facts} if self.queue is Queue.EVALUATE else {}
        facts = {"heartbeat_at": Now(), "evaluation": held, "study": study, "info": info}
        if not WorkerStatus.objects.filter(name=self.name).update(**facts):
            WorkerStatus.objects.create(
                name=self.name, host=socket.gethostname()[:120], pid=os.getpid(), queue=self.queue,
                device=settings.EVALUATION_DEVICE if self.queue is Queue.EVALUATE else "cpu",
                **facts,
            )  # fmt: skip
