"""Fixtures of the leaderboard's tests."""

import shutil

import pytest
from django.core.management import call_command

from leaderboard import storage
from tests.builders.standing import make_standing
from tests.builders.system import server_environment


@pytest.fixture
def live_environment(transactional_db) -> dict[str, str]:
    """The environment of server processes that work on this test's database."""
    return server_environment()


@pytest.fixture(scope="module")
def standing(django_db_setup, django_db_blocker, services):
    """A scored board that the tests of a module read; what they write is rolled back test by test."""
    with django_db_blocker.unblock():
        made = make_standing()
        yield made
        call_command("flush", interactive=False, verbosity=0)
        shutil.rmtree(storage.release_folder(made.release))
        shutil.rmtree(storage.key_root())
