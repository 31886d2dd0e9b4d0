"""One embedded Redis: start, stop, kill, flush. Append-only file on, no port: reached by socket only."""

import signal
import time
from pathlib import Path

import redis

from leaderboard.services.binaries import find_binaries
from leaderboard.services.places import Services
from leaderboard.services.processes import POLL_S, end, failure, launch, processes_in

START_S, STOP_S = 60, 15
CONFIGURATION = """\
# Written at every start.
port 0
unixsocket {socket}
unixsocketperm 700
dir {data}
logfile redis.log
daemonize yes
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory-policy noeviction
"""


def start(services: Services) -> None:
    """Start over the append-only file, if there is one; returns when it answers."""
    kill(services)
    socket, configuration = _socket(services), services.root / "redis.conf"
    socket.unlink(missing_ok=True)
    configuration.write_text(CONFIGURATION.format(socket=_quote(socket), data=_quote(_data(services))))
    configuration.chmod(0o644)
    log = _data(services) / "redis.log"
    command = [find_binaries(services.account).redis_server, configuration]
    launch(command, services.account, cwd=_data(services), log=log)
    _wait(services, log)


def stop(services: Services) -> bool:
    """Orderly shutdown; True when it ran."""
    return end(_data(services), "redis-server", signal.SIGTERM, patience_s=STOP_S)


def kill(services: Services) -> bool:
    """kill -9."""
    return end(_data(services), "redis-server", signal.SIGKILL, patience_s=0)


def flush(services: Services) -> None:
    """FLUSHALL."""
    with redis.Redis.from_url(services.redis_url) as client:
        client.flushall()


def _data(services: Services) -> Path:
    return services.root / "redis"


def _socket(services: Services) -> Path:
    return services.sockets / "redis"


def _wait(services: Services, log: Path) -> None:
    deadline = time.monotonic() + START_S
    with redis.Redis(unix_socket_path=str(_socket(services))) as client:
        while True:
            try:
                client.ping()
                return
            except (redis.ConnectionError, redis.BusyLoadingError):
                if time.monotonic() > deadline or not processes_in(_data(services), "redis-server"):
                    raise failure("redis-server did not come up", log) from None
                time.sleep(POLL_S)


def _quote(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
