"""Embedded Postgres and Redis, one pair per folder, for the demo, the tests and CI alike. Knows nothing of Django.

    with services.running(Path("var"), name="demo") as pair:
        os.environ.update(pair.environment())

Where DATABASE_URL or REDIS_URL is set, that server is used as it is and none is started in its place.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from leaderboard.services import places, postgres, redis
from leaderboard.services.places import Services, ServicesError, prepare

__all__ = [
    "Services",
    "ServicesError",
    "flush_redis",
    "kill_postgres",
    "kill_redis",
    "prepare",
    "remove",
    "running",
    "start",
    "start_postgres",
    "start_redis",
    "stop",
    "stop_leftovers",
]


def start(var_dir: Path, *, name: str = "demo") -> Services:
    """Start both under `var_dir`, over the data of last time if there is some; what a crash left behind is cleared.

    Raises ServicesError when they are in use by another process or do not come up.
    """
    services = prepare(var_dir, name=name, environ=os.environ)
    try:
        start_postgres(services)
        start_redis(services)
    except BaseException:
        stop(services)
        raise
    return services


def stop(services: Services) -> None:
    """Stop what `start` started, data kept; harmless when nothing runs."""
    redis.stop(services)
    postgres.stop(services)
    places.release(services)


def remove(services: Services) -> None:
    """Stop both and delete their data, before another process may use the place."""
    redis.stop(services)
    postgres.stop(services)
    places.delete(services)
    places.release(services)


@contextlib.contextmanager
def running(var_dir: Path, *, name: str = "demo") -> Iterator[Services]:
    """`start` on entry, `stop` on exit."""
    services = start(var_dir, name=name)
    try:
        yield services
    finally:
        stop(services)


def stop_leftovers(var_dir: Path, *, name: str = "demo") -> bool:
    """Stop servers under `var_dir`, whoever started them; True when some ran."""
    services = places.look_up(var_dir, name=name)
    stopped = [redis.stop(services), postgres.stop(services)]
    places.delete_sockets(services)
    return any(stopped)


def start_postgres(services: Services) -> None:
    """Start (or after a crash restart) the embedded Postgres, same URL; returns when it answers."""
    if services.embeds_postgres:
        postgres.start(services)


def start_redis(services: Services) -> None:
    """Start (or after a crash restart) the embedded Redis, same URL; returns when it has read its append-only file."""
    if services.embeds_redis:
        redis.start(services)


def kill_postgres(services: Services) -> None:
    """kill -9 every process of the embedded Postgres, as a crash would."""
    postgres.kill(services)


def kill_redis(services: Services) -> None:
    """kill -9 the embedded Redis."""
    redis.kill(services)


def flush_redis(services: Services) -> None:
    """Empty Redis, embedded or external: every database of it."""
    redis.flush(services)
