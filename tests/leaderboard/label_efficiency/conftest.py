"""A release in folders of the test whose fine datasets can be ranked; heads trained in this process and few of them."""

import pytest

from leaderboard.label_efficiency import studies, verifying
from leaderboard.models import Release, User
from leaderboard.workers import study
from tests.builders.leaderboard import make_user
from tests.builders.studies import make_release


@pytest.fixture
def release(tmp_path, settings, services) -> Release:
    settings.RELEASE_ROOT, settings.KEY_ROOT = tmp_path / "releases", tmp_path / "keys"
    return make_release()


@pytest.fixture
def staff(db) -> User:
    return make_user("staff", is_staff=True)


@pytest.fixture
def here(monkeypatch) -> list[list]:
    """Tasks of three seeds are done in this process, as the one apart does them; returns them, per call."""
    from evaluator.active_learning.studies.study import perform

    asked: list[list] = []

    def perform_here(tasks, *, on_progress=lambda done, total: None, **how):
        asked.append(list(tasks))
        results = []
        for place, task in enumerate(tasks):
            on_progress(place, len(tasks))
            results.append(perform(task))
        return results

    monkeypatch.setattr(studies, "SEEDS", 3)
    monkeypatch.setattr(study, "perform_apart", perform_here)
    monkeypatch.setattr(verifying, "perform_apart", perform_here)
    return asked
