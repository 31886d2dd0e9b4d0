"""Fixtures of the leaderboard's tests."""

import os
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection


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
