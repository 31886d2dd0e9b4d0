"""A release in folders of the test, and pairs of base and tuned on it whose answers nobody had to compute."""

import pytest

from leaderboard.models import Release, User
from tests.builders.leaderboard import make_user
from tests.builders.system import import_tiny_release, tiny_hub


@pytest.fixture
def release(tmp_path, settings, services) -> Release:
    settings.RELEASE_ROOT, settings.KEY_ROOT = tmp_path / "releases", tmp_path / "keys"
    return import_tiny_release(hub=tiny_hub(("dev", "test"), 24))


@pytest.fixture
def author(db) -> User:
    return make_user("author")


@pytest.fixture
def stranger(db) -> User:
    return make_user("stranger")
