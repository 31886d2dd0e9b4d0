"""The demo's processes: found by their mark, ended whatever they do, and no one else's with them."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from demo import fleet


@pytest.fixture
def ships(tmp_path: Path) -> fleet.Fleet:
    return fleet.Fleet(folder=tmp_path, environment=os.environ | {fleet.MARK: str(tmp_path)}, logs=tmp_path / "logs")


def wait_for_log(ships: fleet.Fleet, name: str) -> None:
    deadline = time.monotonic() + 20
    while not ships.log(name).read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_process_that_ignores_the_request_is_killed_with_its_children(
    ships: fleet.Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "PATIENCE_S", 0.3)
    ships.start("stubborn", ["bash", "-c", "trap '' TERM; setsid sleep 300 & echo up; while true; do sleep 1; done"])
    wait_for_log(ships, "stubborn")
    stranger = subprocess.Popen(["sleep", "300"], env=os.environ | {fleet.MARK: str(tmp_path / "other")})
    try:
        assert len(fleet.marked(tmp_path, but=os.getpid())) >= 2
        assert ships.stop() >= 1
        assert fleet.marked(tmp_path, but=os.getpid()) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_that_ends_when_asked_is_not_killed(ships: fleet.Fleet, tmp_path: Path) -> None:
    ships.start("polite", ["bash", "-c", "trap 'exit 0' TERM; echo up; while true; do sleep 0.05; done"])
    wait_for_log(ships, "polite")
    assert ships.dead() is None
    assert ships.stop() == 0
    assert ships.dead() == "polite"
