"""The demo's processes. In: commands; out: running processes, each of which carries a mark by which it is found again.

The mark is an environment variable: it is inherited, survives the death of whoever started the process, and cannot
be confused with another checkout's, as process numbers in a file could.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "LEADERBOARD_DEMO"
POLL_S = 0.1
PATIENCE_S = 25.0  # between asking and killing; longer than the workers' supervisor needs itself


@dataclass(kw_only=True)
class Fleet:
    """Processes that run for as long as the demo does."""

    folder: Path
    environment: Mapping[str, str]
    logs: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str | Path]) -> None:
        """Start a process in a session of its own, so that Ctrl-C reaches only us; its output goes to a log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(word) for word in command],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        """Where a process writes."""
        return self.logs / f"{name}.log"

    def dead(self) -> str | None:
        """The name of a process that ended by itself, if one did."""
        return next((name for name, process in self.running.items() if process.poll() is not None), None)

    def stop(self) -> int:
        """End every process; returns how many had to be killed."""
        killed = stop_marked(self.folder, but=os.getpid())
        for process in self.running.values():
            process.wait()
        return killed


def carry_mark(folder: Path) -> None:
    """Make this very process carry the mark, by starting its program anew if it does not."""
    if os.environ.get(MARK) != str(folder):
        os.environ[MARK] = str(folder)
        os.execv(sys.executable, sys.orig_argv)


def marked(folder: Path, *, but: int) -> list[psutil.Process]:
    """Every live process of the demo in `folder`, whoever started it, except the one with number `but`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return [process for process in found if process.pid != but]


def stop_marked(folder: Path, *, but: int) -> int:
    """Ask the topmost processes to end, wait, kill what is left; returns how many were killed."""
    found = marked(folder, but=but)
    ids = {process.pid for process in found}
    _each([process for process in found if _parent(process) not in ids], psutil.Process.terminate)
    deadline = time.monotonic() + PATIENCE_S
    while marked(folder, but=but) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    killed = marked(folder, but=but)
    while left := marked(folder, but=but):
        _each(left, psutil.Process.kill)
        time.sleep(POLL_S)
    return len(killed)


def _parent(process: psutil.Process) -> int | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.ppid()
    return None


def _each(processes: Sequence[psutil.Process], act: Callable[[psutil.Process], object]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            act(process)
