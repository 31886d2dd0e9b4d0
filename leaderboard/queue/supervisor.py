"""Keeping workers alive. In: how many workers of each queue; out: that many running processes until told to stop.

One process per worker plus one for the reconciler's clock. What dies (crash, Redis lost) is started again with
back-off; the end of the supervisor, even by kill -9, is the end of all of them.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.conf import settings

from leaderboard.queue import Queue

log = logging.getLogger(__name__)
POLL_S = 0.2
GRACE_S = 10.0  # between asking a process to end and killing it
SHORT_LIFE_S = 30.0  # who dies younger waits longer for the next start
MOST_BACKOFF_S = 8.0
KEYLESS = (Queue.VALIDATE, Queue.EVALUATE)
LEAST_URGENT = ("nice", "-n", "19")  # studies take what processor time others leave


@dataclass(kw_only=True)
class Charge:
    """One process that has to run."""

    name: str
    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    under: tuple[str, ...] = ()  # a program that becomes the command
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0

    def start(self) -> None:
        command = [*self.under, sys.executable, "-m", "django", *self.arguments, "--parent", str(os.getpid())]
        self.process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=os.environ | self.environment)
        self.started = time.monotonic()
        log.info("%s runs as process %d", self.name, self.process.pid)

    def look_after(self) -> None:
        """Start the process when it is due; plan its next start when it has died."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self.start()
        elif self.process.poll() is not None:
            self.failures = self.failures + 1 if now - self.started < SHORT_LIFE_S else 0
            pause = min(0.25 * 2**self.failures, MOST_BACKOFF_S)
            log.warning("%s ended with %s, next start in %.1f s", self.name, self.process.returncode, pause)
            self.process, self.start_at = None, now + pause

    def alive(self) -> subprocess.Popen[bytes] | None:
        """The process, if it runs now."""
        return self.process if self.process is not None and self.process.poll() is None else None


def supervise(workers: Mapping[Queue, int]) -> None:
    """Run the workers and the reconciler until SIGTERM, SIGINT or SIGHUP; then end every one of them."""
    stop = stop_on_signals()
    common = {"DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}
    charges = [Charge(name="reconciler", arguments=["reconcile", "--forever"], environment=common)]
    for queue, count in workers.items():
        keys = {"KEY_ROOT": "none"} if queue in KEYLESS else {}
        for number in range(1, count + 1):
            name = f"{queue} {number}"
            under = LEAST_URGENT if queue is Queue.STUDY else ()
            charges.append(Charge(name=name, arguments=["worker", queue], environment=common | keys, under=under))
    try:
        while not stop.wait(POLL_S):
            for charge in charges:
                charge.look_after()
    finally:
        _end(charges)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM, SIGINT and SIGHUP set; SIGHUP not where it is ignored, as under nohup."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Shells start background jobs with SIGINT ignored; whoever sends one all the same means it.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop


def _end(charges: list[Charge]) -> None:
    for charge in charges:
        if process := charge.alive():
            process.terminate()
    deadline = time.monotonic() + GRACE_S
    while any(charge.alive() for charge in charges) and time.monotonic() < deadline:
        time.sleep(POLL_S / 4)
    for charge in charges:
        if process := charge.alive():
            log.warning("%s did not end in time: killed", charge.name)
            process.kill()
            process.wait()
