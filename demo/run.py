"""`make demo`: from nothing to a ranked board on a running server, until Ctrl-C. `make demo-down` ends one left over.

Everything lies under var/: releases, keys, uploads, the embedded Postgres and Redis, logs, the accounts' passwords.
The models go in through the public API, as anyone's would.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import requests

from demo import board, fleet, label_efficiency, lineage
from demo.client import Client, Refused
from demo.generate.plan import source_rules
from evaluator.sandbox import SandboxLevel, sandbox_level
from leaderboard import services

CHECKOUT = Path(__file__).resolve().parent.parent
VAR = CHECKOUT / "var"
MODELS = CHECKOUT / "demo" / "models"
START_S = 60.0


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


class Stopped(Exception):
    """Someone asked the demo to end."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the caller asked for."""

    port: int
    release: Path | None  # a Hub folder or a release folder; None: the generated benchmark
    sources: list[str]

    @property
    def slug(self) -> str:
        """The release's address."""
        return re.sub(r"[^a-z0-9]+", "-", self.release.name.lower()).strip("-") if self.release else "demo"


def main() -> None:
    """Read the command line; serve, or end what is left running."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--release", default="", help="a Hub folder or a release folder (default: generate one)")
    parser.add_argument("--source", default="", help="DATASET=REGEX …: how an image's source is read from its id")
    parser.add_argument("--down", action="store_true", help="stop a demo left running")
    given = parser.parse_args()
    if given.down:
        print("stopped" if down() else "no demo is running")
        return
    fleet.carry_mark(VAR)
    release = Path(given.release).resolve() if given.release else None
    try:
        demo(Wish(port=given.port, release=release, sources=given.source.split()))
    except (DemoError, Refused, services.ServicesError, board.NotScored) as error:
        sys.exit(f"make demo: {error}")


def down() -> bool:
    """End every process of this checkout's demo; True when there was one."""
    found = bool(fleet.marked(VAR, but=os.getpid()))
    fleet.stop_marked(VAR, but=os.getpid())
    return services.stop_leftovers(VAR) or found


def demo(wish: Wish) -> None:
    """Build what is not there yet, serve it until a signal, end everything."""
    stop = _stop_on_signals()
    if wish.release and not wish.release.is_dir():
        raise DemoError(f"RELEASE={wish.release} is no folder: give the path of a Hub folder or of a release folder")
    VAR.mkdir(exist_ok=True)
    with services.running(VAR) as pair:  # refused while another demo of this checkout runs
        fleet.stop_marked(VAR, but=os.getpid())  # what one that was killed left behind
        _require_port(wish.port)
        ships = fleet.Fleet(folder=VAR, environment=_environment(pair), logs=VAR / "logs")
        try:
            _serve(wish, ships, stop)
        except Stopped:
            print("stopping …", flush=True)
        finally:
            ships.stop()
    if left := fleet.marked(VAR, but=os.getpid()):
        raise DemoError(f"processes are left: {[process.pid for process in left]}")
    print("stopped; the data is kept in var/", flush=True)


def _serve(wish: Wish, ships: fleet.Fleet, stop: threading.Event) -> NoReturn:
    began = time.monotonic()
    print("preparing the database …", flush=True)
    found = json.loads(_run(["-m", "demo.prepare", VAR / "demo-accounts.json"], ships, stop))
    if wish.slug not in found["releases"]:
        _import(wish, ships, stop)
    _start(ships, wish.port)
    client = Client(url=f"http://127.0.0.1:{wish.port}", token=found["accounts"]["author"]["token"])
    _wait_until_up(client.url, ships, stop)
    for line in board.fill(client, wish.slug, MODELS, check=lambda: _check(ships, stop)):
        print(line, flush=True)
    for base in lineage.bases(MODELS):
        _run(["manage.py", "reference_base", base], ships, stop)
    for line in lineage.sweep_fine_tunes(client, wish.slug, MODELS):
        print(line, flush=True)
    stood = time.monotonic()
    _announce(client.url, wish.slug, found["accounts"], stood - began)
    _ask_for_studies(client, wish.slug, ships, stop)
    studies = label_efficiency.watch(client, wish.slug, stood)
    while True:
        _check(ships, stop)
        if line := next(studies, ""):
            print(line, flush=True)
        stop.wait(0.5)


def _ask_for_studies(client: Client, slug: str, ships: fleet.Fleet, stop: threading.Event) -> None:
    """Label efficiency is asked for by itself; have query strategies compared too. They run on at low priority."""
    _run(["manage.py", "reference_encoder", *label_efficiency.reference_encoders(MODELS)], ships, stop)
    if wanted := label_efficiency.strategies_wanted(client, slug):
        print(_run(["manage.py", "label_efficiency", *wanted], ships, stop), end="", flush=True)


def _check(ships: fleet.Fleet, stop: threading.Event) -> None:
    """Raise Stopped when asked to end, DemoError when a process of the demo has ended by itself."""
    if stop.is_set():
        raise Stopped
    if name := ships.dead():
        raise DemoError(f"{name} ended by itself: see {ships.log(name)}")


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _require_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            message = f"port {port} cannot be used ({error.strerror}): make demo PORT=<another>"
            raise DemoError(message) from None


def _environment(pair: services.Services) -> Mapping[str, str]:
    """The server's settings, and nothing of the caller's settings of another server."""
    environment = {
        **{name: os.environ[name] for name in os.environ if name not in {"DEBUG", "KEY_ROOT", "RELEASE_ROOT"}},
        **pair.environment(),
        "DJANGO_SETTINGS_MODULE": "leaderboard.settings",
        "DEMO": "1",
        "DATA_ROOT": str(VAR),
        "STATIC_ROOT": str(VAR / "static"),
        "SITE_NAME": "µ-Bench Leaderboard (demo)",
    }
    if sandbox_level() is SandboxLevel.WEAK:
        print("bubblewrap is missing or unusable here: submitted weights run less isolated, and their entries say so")
        environment["ALLOW_WEAK_SANDBOX"] = "1"
    return environment


def _import(wish: Wish, ships: fleet.Fleet, stop: threading.Event) -> None:
    folder, name, sources = wish.release, wish.release.name if wish.release else "Demo", wish.sources
    if folder is None:
        folder, sources = VAR / "demo-hub", [f"{dataset}={rule}" for dataset, rule in source_rules().items()]
        if not folder.exists():
            print("generating a benchmark …", flush=True)
            draft = folder.with_name("demo-hub.new")
            shutil.rmtree(draft, ignore_errors=True)
            _run(["-m", "demo.generate", "--out", draft], ships, stop)
            draft.rename(folder)
    print(f"importing {folder} …", flush=True)
    rules = [word for source in sources for word in ("--source", source)]
    options = ["--slug", wish.slug, "--name", name, *rules]
    print(_run(["manage.py", "import_release", folder, *options], ships, stop), end="", flush=True)


def _run(arguments: list[str | Path], ships: fleet.Fleet, stop: threading.Event) -> str:
    """Run one of the project's programs to its end; its output is returned, its complaints are shown."""
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env=ships.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while True:
        try:
            output, _ = process.communicate(timeout=0.1)
            break
        except subprocess.TimeoutExpired:
            _check(ships, stop)  # when we leave here, the process ends with the fleet
    if process.returncode:
        raise DemoError(f"{' '.join(command[1:])} ended with status {process.returncode}")
    return output


def _start(ships: fleet.Fleet, port: int) -> None:
    gunicorn = ["-m", "gunicorn", "leaderboard.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "2", "--threads", "4"]
    ships.start("web", [sys.executable, *gunicorn])
    ships.start("work", [sys.executable, "manage.py", "work", "--evaluate", "2"])


def _wait_until_up(url: str, ships: fleet.Fleet, stop: threading.Event) -> None:
    deadline = time.monotonic() + START_S
    while True:
        _check(ships, stop)
        try:
            requests.get(f"{url}/healthz", timeout=5).raise_for_status()
            return
        except requests.RequestException as error:
            if time.monotonic() > deadline:
                raise DemoError(f"the server does not answer ({error}): see {ships.log('web')}") from error
        stop.wait(0.2)


def _announce(url: str, slug: str, accounts: Mapping[str, Mapping[str, str]], seconds: float) -> None:
    print(f"\nThe board stands at {url}/releases/{slug}/ after {seconds:.0f} s.")
    for name, account in accounts.items():
        print(f"  sign in as {name:6}  password {account['password']}   ({url}/account/login/)")
    print(f"  logs, and mails the server would send: {VAR / 'logs'}")
    print("Ctrl-C stops it; var/ keeps the data.", flush=True)


if __name__ == "__main__":
    main()
