"""Fixtures of the leaderboard's tests."""

import os
import shutil
from urllib.parse import quote

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from leaderboard import storage
from tests.builders.standing import make_standing


@pytest.fixture
def live_environment(transactional_db) -> dict[str, str]:
    """The environment of server processes that work on this test's database."""
    return server_environment()


def server_environment() -> dict[str, str]:
    database = connection.settings_dict
    url = (
        f"postgresql://{quote(database['USER'])}:{quote(database['PASSWORD'])}@/{quote(database['NAME'])}"
        f"?host={quote(database['HOST'])}&port={quote(str(database['PORT']))}"
    )
    return os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE, "PYTHONPATH": "."}


@pytest.fixture(scope="module")
def standing(django_db_setup, django_db_blocker, services):
    """A scored board that the tests of a module read; what they write is rolled back test by test."""
    with django_db_blocker.unblock():
        made = make_standing()
        yield made
        call_command("flush", interactive=False, verbosity=0)
        shutil.rmtree(storage.release_folder(made.release))
        shutil.rmtree(storage.key_root())
