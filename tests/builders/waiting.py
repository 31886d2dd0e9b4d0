"""Waiting for other processes without fixed sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

Found = TypeVar("Found")


def wait_until(look: Callable[[], Found], *, within_s: float, every_s: float = 0.1) -> Found:
    """The first truthy value of `look()`; AssertionError when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing within {within_s} s"
        time.sleep(every_s)
    return found


def all_end(processes: list[psutil.Process], *, within_s: float) -> bool:
    """Whether all of them end in time; one that waits only for its parent to take note (a zombie) has ended."""

    def living() -> list[psutil.Process]:
        return [process for process in processes if _lives(process)]

    deadline = time.monotonic() + within_s
    while living() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not living()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
