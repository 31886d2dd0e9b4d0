"""Attempts to get out, run as code inside the very command line that children get. Needs bubblewrap."""

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluator.sandbox import Limits, SandboxLevel, sandbox_level
from evaluator.sandbox.command import Exposure, environment, sandboxed

LIMITS = Limits(processes=64, written_file_bytes=1024**2, tmp_bytes=4 * 1024**2)


def test_this_machine_has_bubblewrap() -> None:
    assert sandbox_level() is SandboxLevel.BUBBLEWRAP, "install bubblewrap (apt-get install bubblewrap)"


def probe(code: str, *arguments: str, files: dict[str, Path] | None = None) -> str:
    """Run `code` inside; it must print exactly one line, which is returned."""
    inner = [sys.executable, "-I", "-c", textwrap.dedent(code), *arguments]
    argv = sandboxed(inner, Exposure(files=files or {}), LIMITS)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def listener() -> Iterator[int]:
    """A server on this machine, as Redis and Postgres are."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_network_of_the_host_is_unreachable(listener: int) -> None:
    socket.create_connection(("127.0.0.1", listener), timeout=5).close()  # from outside it answers
    said = probe(
        """
        import socket, sys
        found = []
        for address in [("127.0.0.1", int(sys.argv[1])), ("10.0.0.1", 80), ("192.0.2.1", 53)]:
            try:
                socket.create_connection(address, timeout=2)
                found.append(address)
            except OSError as error:
                pass
        try:
            found.append(socket.getaddrinfo("localhost.example", 80))
        except OSError:
            pass
        print(found, [name for _, name in socket.if_nameindex()])
        """,
        str(listener),
    )
    assert said in ("[] ['lo']", "[] []")


def test_unix_sockets_of_the_host_are_unreachable(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as named, socket.socket(socket.AF_UNIX) as abstract:
        named.bind(str(tmp_path / "redis.sock"))
        named.listen()
        abstract.bind("\0ubench-test")
        abstract.listen()
        said = probe(
            """
            import socket, sys
            found = []
            for address in [sys.argv[1], "\\0ubench-test", "/run/postgresql/.s.PGSQL.5432", "/var/run/docker.sock"]:
                try:
                    socket.socket(socket.AF_UNIX).connect(address)
                    found.append(address)
                except OSError:
                    pass
            print(found)
            """,
            str(tmp_path / "redis.sock"),
        )
    assert said == "[]"


def test_files_of_the_host_are_absent(tmp_path: Path) -> None:
    secret = tmp_path / "KEY_ROOT" / "test.parquet"
    secret.parent.mkdir()
    secret.write_text("the key")
    checkout = Path(__file__).resolve().parents[3]
    places = ["/etc/shadow", "/etc/passwd", "/etc/hostname", str(secret), str(tmp_path), str(checkout / "manage.py"),
              str(checkout / "leaderboard"), str(checkout / ".git"), str(Path.home() / ".ssh"),
              str(Path.home() / ".bashrc"), "/var", "/sys", "/boot", "/mnt", "/proc/1/root/etc/shadow"]  # fmt: skip
    said = probe(
        """
        import os, sys
        print([place for place in sys.argv[1:] if os.path.exists(place)])
        """,
        *places,
    )
    assert said == "[]"


def test_only_tmp_can_be_written_and_only_so_much(tmp_path: Path) -> None:
    shown = tmp_path / "shown.txt"
    shown.write_text("unchanged")
    shown.chmod(0o666)
    said = probe(
        """
        import os, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        open("/tmp/mine", "w").write("x")
        written = []
        for place in ["/x", "/usr/x", "/release/shown.txt", "/dev/x", "/etc/x", sys.prefix + "/x", os.__file__]:
            try:
                open(place, "w").write("x")
                written.append(place)
            except OSError:
                pass
        def fill(path):
            with open(path, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 65536)
                except OSError:
                    return os.path.getsize(path)
        one = fill("/tmp/one")
        total = one + sum(fill(f"/tmp/{i}") for i in range(20))
        print(written, one <= 2**20, total <= 4 * 2**20)
        """,
        files={"/release/shown.txt": shown},
    )
    assert said == "[] True True"
    assert shown.read_text() == "unchanged"


def test_no_process_of_the_host_is_seen_or_signalled() -> None:
    said = probe(
        """
        import os, sys
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        try:
            os.kill(int(sys.argv[1]), 0)
            seen = True
        except OSError:
            seen = int(sys.argv[1]) in pids
        print(len(pids) <= 4, seen)
        """,
        str(max(os.getpid(), 100)),
    )
    assert said == "True False"


def test_environment_is_empty_but_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "s3cret")
    monkeypatch.setenv("DATABASE_URL", "postgres://…")
    said = probe("import os; print(sorted(set(os.environ) - {'LC_CTYPE', 'PWD', 'SHLVL', '_'}))")
    assert "SECRET_KEY" not in said and "DATABASE_URL" not in said
    assert set(eval(said)) <= set(environment())


def test_fork_bomb_ends_at_the_limit() -> None:
    said = probe(
        """
        import os, time
        n = 0
        try:
            for n in range(1000):
                if os.fork() == 0:
                    time.sleep(30)
                    os._exit(0)
        except BlockingIOError:
            pass
        print(n < 100, flush=True)
        os._exit(0)
        """
    )
    assert said == "True"


def test_memory_bomb_ends_at_the_limit_that_a_child_sets_on_itself_for_good() -> None:
    said = probe(
        """
        import resource
        from evaluator.sandbox.limits import JobLimits
        JobLimits(wall_s=60, memory_bytes=2**30).impose()
        try:
            resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))
            print("raised again")
        except ValueError:
            pass
        try:
            hoard = []
            while True:
                hoard.append(bytearray(64 * 2**20))
        except MemoryError:
            n = len(hoard)
            del hoard
            print(n < 16)
        """
    )
    assert said == "True"


def test_child_is_nobody_without_capabilities_and_cannot_get_any(tmp_path: Path) -> None:
    hidden = tmp_path / "private.txt"
    hidden.write_text("private")
    hidden.chmod(0o600)
    said = probe(
        """
        import os, subprocess
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        gained = 0
        for attempt in (lambda: os.setuid(0), lambda: os.chroot("/tmp"), lambda: os.mknod("/tmp/sda", 0o60600, 0x800)):
            try:
                attempt()
                gained += 1
            except OSError:
                pass
        mount = subprocess.run(["mount", "-t", "tmpfs", "none", "/usr"], capture_output=True).returncode
        print(os.getuid(), status["NoNewPrivs"].strip(), int(status["CapEff"], 16), int(status["CapBnd"], 16), gained,
              mount != 0)
        """,
        files={"/release/private.txt": hidden},
    )
    assert said == "65534 1 0 0 0 True"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's files can be shown to somebody who is not root")
def test_files_that_only_root_may_read_stay_closed_even_when_shown(tmp_path: Path) -> None:
    hidden = tmp_path / "private.txt"
    hidden.write_text("private")
    hidden.chmod(0o600)
    said = probe(
        """
        try:
            print(open("/release/private.txt").read())
        except PermissionError:
            print("closed")
        """,
        files={"/release/private.txt": hidden},
    )
    assert said == "closed"
