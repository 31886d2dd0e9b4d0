"""Heads are trained in a process of their own. In: tasks; out: their results. Torch-free: torch is imported there.

The process gets embeddings, labels of the pool and nothing else: an empty environment, no key, no database. It ends
with whoever started it.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluator.active_learning.studies.exchange import read_result, read_work, write_work
from evaluator.active_learning.tasks import Result, Task
from evaluator.errors import EvaluationFailed
from evaluator.sandbox.command import environment

OnProgress = Callable[[float, int], None]  # tasks done, the one at work in part; of how many
POLL_S = 1.0
NICE = 10
KEPT_OUTPUT = 4_000
COMMAND = (sys.executable, "-I", "-m", "evaluator", "study", "--with-parent")


def perform_apart(
    tasks: Sequence[Task], *, threads: int = 1, timeout_s: float | None = None, nice: bool = True,
    on_progress: OnProgress | None = None, folder: Path | None = None,
) -> list[Result]:  # fmt: skip
    """Do all tasks in one process, which imports torch once, and give their results in order.

    on_progress is called at least about every second; what it raises ends the process and rises. nice: let other
    work go first. folder: where a private folder is made for the time of the call (default: the system's). The arrays
    of results are mapped files, already removed: a large one costs no memory until it is looked at.
    Raises InputError as the first task that cannot be done, EvaluationFailed `study_failed` (retry) when the process
    dies, `study_timeout` when it takes longer than `timeout_s`.
    """
    if not tasks:
        return []
    with tempfile.TemporaryDirectory(prefix="study-", dir=folder) as made:
        own = Path(made)
        write_work(own, list(tasks), nice=NICE if nice else 0)
        _run(own, len(tasks), threads, timeout_s, on_progress or _ignore)
        kinds, _ = read_work(own)
        try:
            return [read_result(own, place, kind) for place, kind in enumerate(kinds)]
        except (OSError, ValueError, TypeError) as error:
            raise _failed(f"a result cannot be read: {error}") from error


def _run(folder: Path, n_tasks: int, threads: int, timeout_s: float | None, on_progress: OnProgress) -> None:
    variables = environment() | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    deadline = time.monotonic() + timeout_s if timeout_s is not None else None
    with (
        (folder / "output").open("w+b") as output,
        subprocess.Popen(
            [*COMMAND, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, env=variables,
            cwd=folder, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            _watch(process, n_tasks, deadline, on_progress)
        finally:
            _end(process)
        if process.returncode:
            output.seek(max(0, output.seek(0, os.SEEK_END) - KEPT_OUTPUT))
            raise _failed(_how_it_ended(process.returncode), output.read().decode("utf-8", "replace"))


def _watch(
    process: subprocess.Popen[bytes], n_tasks: int, deadline: float | None, on_progress: OnProgress
) -> None:  # fmt: skip
    """Until it has closed its output. Each line of it is a number: tasks done."""
    assert process.stdout is not None
    done, unread = 0.0, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            on_progress(done, n_tasks)
            if deadline is not None and time.monotonic() > deadline:
                message = "Training heads took longer than allowed. Ask for fewer seeds or datasets, or for more time."
                raise EvaluationFailed("study_timeout", message, retry=False)
            if not selector.select(POLL_S):
                continue
            if not (received := os.read(process.stdout.fileno(), 65_536)):
                process.wait()
                return
            *lines, unread = (unread + received).split(b"\n")
            if lines:
                done = float(json.loads(lines[-1]))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it with all that it started; nothing happens where it has ended by itself."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _failed(how: str, output: str = "") -> EvaluationFailed:
    error = EvaluationFailed("study_failed", f"The process that trains heads gave no result ({how}).", retry=True)
    if output:
        error.add_note(output)
    return error


def _how_it_ended(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


def _ignore(done: float, total: int) -> None:
    """Nobody listens."""
