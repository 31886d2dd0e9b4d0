"""The supervisor as a process: it restarts what dies, and nothing outlives it."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
from django.conf import settings

from tests.builders.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
NO_WORKERS = ("--validate", "0", "--evaluate", "0", "--score", "0", "--study", "0")


@pytest.fixture
def supervisor(live_environment):
    """`manage.py work` with the reconciler as its only charge: it needs no model and starts fast."""
    # Run under nohup, the tests would hand on an ignored SIGHUP.
    command = ["env", "--default-signal=HUP", sys.executable, "-m", "django", "work", *NO_WORKERS]
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, env=live_environment)
    yield psutil.Process(process.pid)
    if process.poll() is None:
        process.kill()
    process.wait()


def reconciler_of(supervisor, *, but=None):
    """The running reconciler process, once there is one that is not `but`."""

    def find():
        living = [child for child in supervisor.children() if child.status() != psutil.STATUS_ZOMBIE]
        return [child for child in living if "reconcile" in child.cmdline() and child.pid != but]

    return wait_until(find, within_s=20)[0]


def test_what_dies_is_started_again(supervisor):
    first = reconciler_of(supervisor)
    first.kill()
    assert reconciler_of(supervisor, but=first.pid).is_running()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_ending_it_ends_all(supervisor, number):
    child = reconciler_of(supervisor)
    supervisor.send_signal(number)
    assert supervisor.wait(15) == 0
    assert not child.is_running()


def test_killing_it_leaves_no_orphan(supervisor):
    child = reconciler_of(supervisor)
    time.sleep(1.0)  # the child asks the kernel for this right after its start
    supervisor.kill()
    wait_until(lambda: not psutil.pid_exists(child.pid) or child.status() == psutil.STATUS_ZOMBIE, within_s=5)


def test_workers_of_studies_are_the_least_urgent(live_environment):
    command = ["env", "--default-signal=HUP", sys.executable, "-m", "django", "work", *NO_WORKERS[:-1], "1"]
    process = psutil.Popen(command, cwd=settings.BASE_DIR, env=live_environment)
    try:
        found = wait_until(
            lambda: [child for child in process.children() if child.cmdline()[3:5] == ["worker", "study"]], within_s=20
        )
        others = [child for child in process.children() if "reconcile" in child.cmdline()]
        assert found[0].nice() == 19 and others[0].nice() == psutil.Process().nice()
    finally:
        process.terminate()
        process.wait(20)
