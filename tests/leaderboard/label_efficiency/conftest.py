"""A release in folders of the test whose fine datasets can be ranked."""

import pytest

from leaderboard.models import Release, User
from tests.builders import studies
from tests.builders.leaderboard import make_user


@pytest.fixture
def release(tmp_path, settings, services) -> Release:
    settings.RELEASE_ROOT, settings.KEY_ROOT = tmp_path / "releases", tmp_path / "keys"
    return studies.make_release()


@pytest.fixture
def staff(db) -> User:
    return make_user("staff", is_staff=True)
