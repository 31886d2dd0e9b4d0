"""A release with a board that really stands: imported, answered, scored, ranked."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.core.management import call_command

from leaderboard import storage
from leaderboard.models import Model, Release, Submission, User
from leaderboard.workers.drain import drain
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_model, make_user
from tests.builders.system import import_tiny_release


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Who and what is there. `hidden` is scored and not published; only `owner` and staff may know of it."""

    release: Release
    owner: User
    stranger: User
    staff: User
    strong: Model
    weak: Model
    published: Submission  # of `strong`
    hidden: Submission  # of `secret`
    secret: Model


def make_standing(slug: str = "standing") -> Standing:
    """Two models of two people on every board, and one unpublished submission."""
    release = import_tiny_release(slug)
    owner, stranger, staff = make_user("owner"), make_user("stranger"), make_user("staff", is_staff=True)
    strong, weak, secret = make_model(owner, "strong"), make_model(stranger, "weak"), make_model(owner, "secret")
    published = make_answered(strong, release, skill=0.95, seed=1, splits=("dev", "test", "sealed"))
    make_answered(weak, release, skill=0.3, seed=2)
    hidden = make_answered(secret, release, skill=0.6, seed=3, publish=False)
    drain("score")
    return Standing(
        release=release, owner=owner, stranger=stranger, staff=staff, strong=strong, weak=weak, published=published,
        hidden=hidden, secret=secret,
    )  # fmt: skip


@pytest.fixture(scope="module")
def standing(django_db_setup, django_db_blocker, services) -> Iterator[Standing]:
    """A scored board that the tests of a module read; what they write is rolled back test by test."""
    with django_db_blocker.unblock():
        made = make_standing()
        yield made
        call_command("flush", interactive=False, verbosity=0)
        shutil.rmtree(storage.release_folder(made.release))
        shutil.rmtree(storage.key_root())
