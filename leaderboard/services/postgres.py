"""One embedded Postgres: make its data folder, start, stop, kill. Durable as in production; reached by socket only."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import psycopg

from leaderboard.services.binaries import Binaries, find_binaries
from leaderboard.services.places import DATABASE, USER, Services
from leaderboard.services.processes import end, launch

START_S, STOP_S = 120, 30
CONFIGURATION = """\
# Written at every start.
data_directory = {data}
hba_file = {hba}
unix_socket_directories = {sockets}
unix_socket_permissions = 0700
listen_addresses = ''
port = 5432                      # names the socket file
max_connections = 100
password_encryption = 'scram-sha-256'
fsync = on
synchronous_commit = on
full_page_writes = on
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
"""
ACCESS = "local all all scram-sha-256\n"  # other accounts of this machine need the password too


def start(services: Services) -> None:
    """Start over existing data, or over a new cluster; returns when it accepts connections and the database exists."""
    programs = find_binaries(services.account)
    data, log = _data(services), _data(services).with_name("postgres.log")
    kill(services)
    if not data.exists():
        _make_cluster(services, programs)
    _configure(services)
    _forget_crash(services)
    # Relative to the working folder, because pg_ctl hands its words to a shell.
    options = ["-D", data.name, "-l", log.name, "-o", "-c config_file=../postgresql.conf"]
    launch([programs.pg_ctl, "start", "-w", "-t", str(START_S), *options], services.account, cwd=data.parent, log=log)
    _make_database(services)


def stop(services: Services) -> bool:
    """Fast shutdown: connections are ended, everything is written. True when it ran."""
    return end(_data(services), "postgres", signal.SIGINT, patience_s=STOP_S)


def kill(services: Services) -> bool:
    """kill -9 of the server and of every process of it."""
    return end(_data(services), "postgres", signal.SIGKILL, patience_s=0)


def _data(services: Services) -> Path:
    return services.root / "postgres" / "data"


def _make_cluster(services: Services, programs: Binaries) -> None:
    """initdb into a folder that gets its name only when complete, so that an interrupted one is never used."""
    home = services.root / "postgres"
    draft, log = home / "data.new", home / "initdb.log"
    shutil.rmtree(draft, ignore_errors=True)
    with tempfile.NamedTemporaryFile("w", dir=services.root, prefix="password-") as given:
        given.write(services.password)
        given.flush()
        os.chown(given.name, services.account.uid, services.account.gid)
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        access = ["-U", USER, "--auth=scram-sha-256", f"--pwfile={given.name}"]
        launch([programs.initdb, "-D", draft.name, *access, *locale], services.account, cwd=home, log=log)
    draft.rename(home / "data")


def _configure(services: Services) -> None:
    hba = services.root / "pg_hba.conf"
    hba.write_text(ACCESS)
    values = {"data": _data(services), "hba": hba, "sockets": services.sockets}
    quoted = {name: "'" + str(path).replace("'", "''") + "'" for name, path in values.items()}
    (services.root / "postgresql.conf").write_text(CONFIGURATION.format(**quoted))
    for name in ("pg_hba.conf", "postgresql.conf"):
        (services.root / name).chmod(0o644)


def _forget_crash(services: Services) -> None:
    """Remove pid and lock files of a server known to be dead: their number may be another process' by now."""
    (_data(services) / "postmaster.pid").unlink(missing_ok=True)
    for stale in services.sockets.glob(".s.PGSQL.*"):
        stale.unlink()


def _make_database(services: Services) -> None:
    with psycopg.connect(
        host=str(services.sockets), user=USER, password=services.password, dbname="postgres", autocommit=True
    ) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f'CREATE DATABASE "{DATABASE}"')
