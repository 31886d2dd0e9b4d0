"""The test run's own Postgres, Redis and data folder. Importing it fixes their addresses; `start()` starts them.

Lies apart from conftest.py because Django's settings are loaded before it. A process started by a test inherits the
addresses and starts nothing; an xdist worker has servers of its own; DATABASE_URL / REDIS_URL from outside are kept.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from leaderboard import services

OWNER = "TEST_SERVICES_OWNER"  # which pytest process the addresses in the environment belong to
EMBEDDED = "TEST_SERVICES_EMBEDDED"  # which of them it made itself
PREFIX = "ubench-tests-"


def _clear_leftovers() -> None:
    """Stop and delete what killed test runs of this account left behind."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(services.ServicesError, OSError):  # in use, or being cleared by another run
            if folder.stat().st_uid == os.getuid() and time.time() - folder.stat().st_mtime > 60:
                services.remove(services.prepare(folder, name="test", environ={}))
                shutil.rmtree(folder)


def _prepare(me: str) -> services.Services:
    inherited = os.environ.get(EMBEDDED, "").split()
    given = {name: url for name, url in os.environ.items() if name not in inherited}
    _clear_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o711)  # the servers' account has to get in
    pair = services.prepare(folder, name="test", environ=given)
    os.environ.update(pair.environment(), DATA_ROOT=str(folder / "data"))
    os.environ[OWNER] = me
    os.environ[EMBEDDED] = " ".join(name for name in pair.environment() if name not in given)
    process = os.getpid()

    def remove() -> None:
        if os.getpid() == process:  # not in a fork
            services.remove(pair)
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return pair


_me = os.environ.get("PYTEST_XDIST_WORKER", "main")
_pair = None if os.environ.get(OWNER) == _me else _prepare(_me)


def start() -> services.Services:
    """Start the servers of this test run."""
    assert _pair, "only the test run itself starts its servers"
    services.start_postgres(_pair)
    services.start_redis(_pair)
    return _pair
