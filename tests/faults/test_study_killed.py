"""kill -9 of a worker in the middle of a study: what it stored stays, its heads end with it, the next one goes on."""

import shutil
import sys
from collections import Counter
from itertools import product

import psutil
import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db.models.functions import Now

from evaluator.active_learning.names import Start, Strategy
from leaderboard import states, storage
from leaderboard.label_efficiency import strategies, studies
from leaderboard.models import StrategyRun, Study
from leaderboard.queue import Queue, reconciler
from leaderboard.states import StudyState
from leaderboard.workers.drain import drain
from tests.builders.studies import make_embedded, make_release
from tests.builders.system import server_environment
from tests.builders.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
PAIRS = list(product(Strategy, (Start.RANDOM, Start.CENTROID)))


@pytest.fixture
def release(transactional_db):
    """In the folders that the worker process knows."""
    made = make_release("killed")
    yield made
    shutil.rmtree(storage.release_folder(made))
    shutil.rmtree(storage.key_root())


def test_a_killed_worker_loses_nothing_and_nothing_is_stored_twice(release):
    encoder = make_embedded(release, "encoder", clear=2.0)
    drain(Queue.SCORE)
    states.advance_study(Study.objects.get(), StudyState.FAILED)  # label efficiency is not what is killed here
    study = studies.ask_strategies(encoder, "cells_a", PAIRS)
    command = [sys.executable, "-m", "django", "worker", Queue.STUDY]
    with psutil.Popen(command, cwd=django_settings.BASE_DIR, env=server_environment()) as worker:
        wait_until(StrategyRun.objects.exists, within_s=120)
        heads = wait_until(lambda: worker.children(recursive=True), within_s=60)
        worker.kill()
    kept = dict(StrategyRun.objects.values_list("pk", "sha256"))
    assert len(kept) % strategies.PAIRS_AT_ONCE == 0 and 0 < len(kept) < len(PAIRS)
    wait_until(lambda: not any(map(is_alive, heads)), within_s=10)
    Study.objects.update(lease_until=Now())
    reconciler.reconcile()
    Study.objects.update(not_before=None)
    drain(Queue.STUDY)
    study.refresh_from_db()
    assert study.state == StudyState.DONE, study.failure_message
    assert dict(StrategyRun.objects.filter(pk__in=kept).values_list("pk", "sha256")) == kept
    stored = Counter(StrategyRun.objects.values_list("strategy", "start"))
    assert stored == Counter({(str(one), str(other)): 1 for one, other in PAIRS})
    call_command("rescore", verify=True)


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
