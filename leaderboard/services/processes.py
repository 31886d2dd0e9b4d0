"""Find and end server processes by the folder they work in, so that stale or copied pid files can never mislead."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from leaderboard.services.places import Account, ServicesError

POLL_S = 0.02


def processes_in(folder: Path, program: str) -> list[psutil.Process]:
    """All live processes called `program` whose working directory is `folder` (which may be deleted by now)."""
    places, found = {folder, Path(f"{folder} (deleted)")}, []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, psutil.NoSuchProcess):  # ended meanwhile, or not ours to see
            if (entry / "cwd").readlink() in places and (entry / "comm").read_text().strip() == program:
                found.append(psutil.Process(int(entry.name)))
    return found


def end(folder: Path, program: str, how: signal.Signals, *, patience_s: float) -> bool:
    """Signal the topmost processes in `folder`, then kill what is left after `patience_s`; True when some ran."""
    found = processes_in(folder, program)
    ids = {process.pid for process in found}
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            if how == signal.SIGKILL or process.ppid() not in ids:
                process.send_signal(how)
    deadline = time.monotonic() + patience_s
    while left := processes_in(folder, program):
        if time.monotonic() > deadline:
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(POLL_S)
    return bool(found)


def launch(command: Sequence[str | Path], account: Account, *, cwd: Path, log: Path, **environ: str) -> None:
    """Run a command that puts its server in the background and ends; raise ServicesError when it fails."""
    environment: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C", **environ}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        umask=0o077,
        **account.drop,
    )
    if done.returncode:
        raise failure(f"{Path(command[0]).name} ended with status {done.returncode}", log)


def failure(what: str, log: Path) -> ServicesError:
    """An error with the last lines of the server's log."""
    lines = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
    return ServicesError("\n".join([what, *lines]))
