"""A running system per module of fault tests; a release of its own per test."""

import logging
import shutil

import pytest
from django.db import connection

from leaderboard import releases, storage
from tests.builders.leaderboard import make_user
from tests.builders.live import LiveSystem
from tests.builders.system import tiny_hub

ITEMS_PER_SPLIT = 400  # so many that a fault meets work that is under way


@pytest.fixture(scope="module")
def workers(request, django_db_setup, django_db_blocker, services):
    """Supervisor and workers on this run's servers; the module's LEASE_S says at which leases."""
    logging.getLogger("leaderboard").setLevel(logging.ERROR)
    placed = getattr(request.module, "place_architectures", dict)
    system = LiveSystem(services=services, lease_s=request.module.LEASE_S, variables=placed())
    system.start()
    yield system
    assert not system.stop(), "a process outlived the supervisor"


@pytest.fixture
def live(request, transactional_db, workers):
    """The running system with a release that has the module's SPLITS and nothing else in it."""
    splits = request.module.SPLITS
    hub = releases.HubOptions(splits="given", name="faults")
    items = getattr(request.module, "ITEMS_PER_SPLIT", ITEMS_PER_SPLIT)
    workers.release = releases.import_release(tiny_hub(splits, items), "faults", hub=hub)
    workers.users = [make_user(), make_user()]
    workers.thaw()
    yield workers
    connection.close()
    workers.freeze()
    shutil.rmtree(storage.release_folder(workers.release))
    shutil.rmtree(storage.key_root() / workers.release.slug)
