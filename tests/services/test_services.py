"""The embedded servers: durable, private, and never in the way of another checkout or of what a crash left behind."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from leaderboard import services
from leaderboard.services import binaries
from leaderboard.services.places import Account
from leaderboard.services.processes import processes_in

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_addresses_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the servers' account can enter, as a checkout in the open is; made once, initdb takes a while."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o711)
    yield made
    services.stop_leftovers(made)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that only its owner can enter, as a checkout in /root is."""
    made = tmp_path / 'it\'s a "closed" µ folder'
    made.mkdir(mode=0o700)
    yield made
    services.stop_leftovers(made)


def keep_something(pair: services.Services) -> None:
    with psycopg.connect(pair.database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    with redis.Redis.from_url(pair.redis_url) as client:
        client.incr("kept")


def kept(pair: services.Services) -> tuple[int, int]:
    """How often something was kept, in Postgres and in Redis."""
    with psycopg.connect(pair.database_url) as connection, redis.Redis.from_url(pair.redis_url) as client:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        return row[0] if row else 0, int(client.get("kept") or 0)


def modes(path: Path) -> dict[Path, int]:
    return {p: stat.S_IMODE(p.stat().st_mode) for p in (path, *path.parents)}


def test_data_outlives_a_stop_and_kill_9_of_everything(folder: Path) -> None:
    pair = services.start(folder)
    keep_something(pair)
    rows, count = kept(pair)
    services.stop(pair)
    pair = services.start(folder)
    keep_something(pair)
    services.kill_postgres(pair)
    services.kill_redis(pair)
    services.start_postgres(pair)
    services.start_redis(pair)
    assert kept(pair) == (rows + 1, count + 1), "same URLs, same data"
    services.flush_redis(pair)
    assert kept(pair) == (rows + 1, 0)
    services.stop(pair)


def test_a_killed_program_leaves_nothing_in_the_way_of_the_next(folder: Path) -> None:
    program = (
        "import os, signal, sys, pathlib; from leaderboard import services;"
        "pair = services.start(pathlib.Path(sys.argv[1])); print(pair.root, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", program, folder], cwd=ROOT, capture_output=True, text=True)
    root = Path(died.stdout.strip())
    assert processes_in(root / "redis", "redis-server"), "the servers outlive it"
    with services.running(folder) as pair:
        keep_something(pair)
        assert len(processes_in(root / "redis", "redis-server")) == 1
        with pytest.raises(services.ServicesError, match="in use"):
            services.start(folder)
    assert not processes_in(root / "redis", "redis-server")
    assert not processes_in(root / "postgres" / "data", "postgres")
    assert not pair.sockets.exists()


def test_stale_pid_files_of_other_processes_do_not_matter(folder: Path) -> None:
    pair = services.start(folder)
    services.kill_postgres(pair)
    pid_file = pair.root / "postgres" / "data" / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split()[0], str(os.getpid()), 1))
    (pair.sockets / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    services.start_postgres(pair)
    services.stop(pair)


def test_left_running_servers_are_found_and_stopped(folder: Path) -> None:
    pair = services.start(folder)
    command = [sys.executable, "-m", "leaderboard.services", "stop", folder]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout == "stopped\n"
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout == "nothing was running\n"
    assert not pair.sockets.exists()
    services.stop(pair)


def test_two_checkouts_side_by_side_even_if_one_is_a_copy_of_the_other(folder: Path) -> None:
    pair = services.start(folder)
    keep_something(pair)
    rows, count = kept(pair)
    services.kill_postgres(pair)
    services.kill_redis(pair)
    subprocess.run(["cp", "-a", folder / "services", folder / "copied"], check=True)
    services.stop(pair)
    (folder / "there").mkdir()
    (folder / "copied").rename(folder / "there" / "services")
    with services.running(folder) as here:
        with services.running(folder / "there") as there:
            keep_something(there)
            assert here.sockets != there.sockets
            assert (kept(here), kept(there)) == ((rows, count), (rows + 1, count + 1))
        assert kept(here) == (rows, count), "stopping one leaves the other"


def test_folder_modes_stay_and_strangers_stay_out(closed_folder: Path) -> None:
    before = modes(closed_folder) | modes(Path(sys.prefix))
    with services.running(closed_folder) as pair:
        keep_something(pair)
        assert modes(closed_folder) | modes(Path(sys.prefix)) == before
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=str(pair.sockets), user="leaderboard", password="guess", dbname="leaderboard")
        for secret in (pair.sockets, pair.root / "postgres", pair.root / "redis", pair.root / "password"):
            assert stat.S_IMODE(secret.stat().st_mode) & 0o077 == 0
        services.remove(pair)
    assert modes(closed_folder) | modes(Path(sys.prefix)) == before
    assert not list(closed_folder.rglob("data")) and not pair.root.exists()


def test_servers_are_durable(services: services.Services) -> None:
    with psycopg.connect(services.database_url) as connection:
        for name, value in {"fsync": "on", "synchronous_commit": "on", "server_encoding": "UTF8"}.items():
            assert connection.execute(f"SHOW {name}").fetchone() == (value,)
    with redis.Redis.from_url(services.redis_url) as client:
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_named_servers_are_used_and_none_is_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/leaderboard")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    with services.running(folder) as pair:
        assert pair.environment() == {"DATABASE_URL": os.environ["DATABASE_URL"], "REDIS_URL": os.environ["REDIS_URL"]}
        assert not pair.sockets.joinpath("redis").exists()


@pytest.fixture
def copied_programs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the packages lie in a folder that the servers' account cannot enter."""
    monkeypatch.setattr(binaries, "reaches", lambda account, path: False)
    monkeypatch.setattr(binaries, "SYSTEM_ROOT", folder / "system")


def test_programs_out_of_reach_are_copied(folder: Path, copied_programs: None) -> None:
    with services.running(folder) as pair:
        keep_something(pair)
        found = binaries.find_binaries(pair.account)
    assert found.redis_server.is_relative_to(folder) and found.initdb.is_relative_to(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs every test here as one")
def test_an_ordinary_user_can_start_them(folder: Path, copied_programs: None) -> None:
    nobody = pwd.getpwnam("nobody")
    binaries.find_binaries(Account(uid=0, gid=0, drop={}))  # copied while we may
    home = folder / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            for count in (1, 2):
                with services.running(home) as pair:
                    keep_something(pair)
                    assert kept(pair) == (count, count)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
