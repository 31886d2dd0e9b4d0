"""Watches over one child: time, cancellation, its messages, its end. In: a child, its job; out: what it sent.

Never opens a path that the child made: all that comes back comes over one capped socket.
"""

import logging
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from evaluator.errors import EvaluationFailed
from evaluator.sandbox.channel import send_job
from evaluator.sandbox.frames import BrokenFrames, FrameReader, Kind
from evaluator.sandbox.limits import JobLimits
from evaluator.sandbox.process import Child

log = logging.getLogger(__name__)

POLL_S = 0.2
GRACE_S = 10.0  # between SIGTERM and SIGKILL
READ_AT_ONCE = 1024**2
KEPT_OUTPUT = 16 * 1024


def supervise(
    child: Child,
    spec: Mapping[str, Any],
    files: Mapping[str, int],
    *,
    caps: Mapping[Kind, int],
    limits: JobLimits,
    on_message: Callable[[Kind, bytes], None] = lambda kind, payload: None,
    should_stop: Callable[[], bool] | None = None,
) -> FrameReader:
    """Give `child` its job (`spec`, open descriptors by name) and read its messages until it ends.

    `on_message` gets progress messages and parts as they come; it may raise BrokenFrames. Raises EvaluationFailed:
    `stopped` (should_stop said so), `timeout`, `out_of_memory`, `child_crashed`, `child_misbehaved`.
    """
    with child.process, child.channel:
        watch = _Watch(child, FrameReader(caps), on_message)
        try:
            watch.send({**spec, "limits": asdict(limits)}, files)
            watch.until_end(time.monotonic() + limits.wall_s, should_stop)
        except BrokenFrames as error:
            log.warning("child misbehaved: %s", error)
            message = "The evaluation process sent something that it never should; its answers were thrown away."
            raise EvaluationFailed("child_misbehaved", message, retry=False) from error
        finally:
            kill(child.process, grace_s=0.0)
            if watch.output:
                log.info("output of the child:\n%s", watch.output.decode(errors="replace"))
    if watch.frames.last is None:
        raise _unexpected_end(child.process.returncode, bytes(watch.output))
    return watch.frames


class _Watch:
    """The two streams of a child: messages and plain output (kept only for the log)."""

    def __init__(self, child: Child, frames: FrameReader, on_message: Callable[[Kind, bytes], None]) -> None:
        assert child.process.stdout is not None
        self._child, self._output_fd = child.process, child.process.stdout.fileno()
        self._channel = child.channel
        self._on_message = on_message
        self.frames = frames
        self.output = bytearray()

    def send(self, spec: Mapping[str, Any], files: Mapping[str, int]) -> None:
        try:
            send_job(self._channel, spec, files)
            self._channel.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it died at once; its end is told apart below

    def until_end(self, deadline: float, should_stop: Callable[[], bool] | None) -> None:
        """Read until both pipes are closed, which happens when the last process of the child is gone."""
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._channel.fileno(), self._output_fd):
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                if should_stop is not None and should_stop():
                    kill(self._child, grace_s=0.0)
                    raise EvaluationFailed("stopped", "The evaluation was stopped.", retry=False)
                if time.monotonic() > deadline:
                    kill(self._child, grace_s=GRACE_S)
                    message = "The evaluation took longer than allowed. Try a smaller model, or ask the organisers."
                    raise EvaluationFailed("timeout", message, retry=False)
                for key, _ in selector.select(POLL_S):
                    if not self._read(key.fd):
                        selector.unregister(key.fd)

    def _read(self, descriptor: int) -> bool:
        try:
            received = os.read(descriptor, READ_AT_ONCE)
        except ConnectionResetError:  # it died before it read its job
            return False
        if descriptor == self._output_fd:
            self.output += received
            del self.output[:-KEPT_OUTPUT]
        else:
            for kind, payload in self.frames.feed(received):
                self._on_message(kind, payload)
        return bool(received)


def kill(child: subprocess.Popen[bytes], *, grace_s: float) -> None:
    """End the child and everything it started: ask, wait `grace_s`, then kill.

    Killing bubblewrap ends its whole process namespace; without it, the session's process group is killed.
    """
    for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, None)):
        if number is signal.SIGTERM and not grace_s:
            continue
        if child.poll() is None:
            _signal_group(child.pid, number)
            try:
                child.wait(wait_s)
            except subprocess.TimeoutExpired:
                continue
    _signal_group(child.pid, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def _unexpected_end(returncode: int, output: bytes) -> EvaluationFailed:
    """Why a child ended without a last word. bubblewrap and prlimit report a signal as 128 + its number."""
    number = -returncode if returncode < 0 else returncode - 128 if returncode > 128 else 0
    if number == signal.SIGXCPU:
        return EvaluationFailed("timeout", "The evaluation used more processor time than allowed.", retry=False)
    if number == signal.SIGKILL or b"MemoryError" in output or b"can't allocate memory" in output:
        message = "The evaluation was killed, most likely because the machine ran out of memory."
        return EvaluationFailed("out_of_memory", message, retry=True)
    if b"No module named evaluator" in output or b"No module named 'evaluator" in output:
        message = "The evaluator is not installed in this Python. Run `make setup` (or pip install .) on the worker."
        return EvaluationFailed("evaluator_not_installed", message, retry=True)
    ended = f"signal {number}" if number > 0 else f"exit code {returncode}"
    return EvaluationFailed("child_crashed", f"The evaluation process crashed ({ended}).", retry=True)
