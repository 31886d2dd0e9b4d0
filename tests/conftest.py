"""Fixtures of every test: the servers of this run, started when the first test needs them."""

import os

import pytest

from leaderboard.services import Services
from tests import embedded

# Before anything imports torch: its threads would spin against the servers and the browser of this run.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def services() -> Services:
    """Real Postgres and Redis, durable as in production; stopped and deleted when the run ends."""
    return embedded.start()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(services: Services, django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Every test that uses the database starts the servers."""
