"""Doing the same thing many times at the same moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

Result = TypeVar("Result")


def in_threads(act: Callable[[], Result], times: int = 8) -> list[Result]:
    """Run `act` in several threads at once, each with a database connection of its own."""
    barrier = threading.Barrier(times)

    def once(_: int) -> Result:
        try:
            barrier.wait()
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(once, range(times)))
