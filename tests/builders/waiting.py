"""Waiting for other processes without fixed sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_until(look: Callable[[], Found], *, within_s: float, every_s: float = 0.1) -> Found:
    """The first truthy value of `look()`; AssertionError when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"nothing within {within_s} s"
        time.sleep(every_s)
    return found
