"""Who may see and do what: owner, stranger, anonymous, staff."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404

from leaderboard import permissions
from leaderboard.models import Evaluation, Model, Release, Report, Submission, Suggestion
from leaderboard.models.releases import Visibility
from leaderboard.permissions import Action
from leaderboard.publication import publish
from leaderboard.states import EvaluationState
from leaderboard.submissions import withdraw
from tests.builders.leaderboard import make_evaluation, make_release, make_submission, make_suggestion, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def people():
    return {
        "owner": make_user(), "stranger": make_user(), "staff": make_user(is_staff=True), "anonymous": AnonymousUser()
    }  # fmt: skip


@pytest.fixture
def submission(people):
    return make_submission(people["owner"], make_release())


def published(submission):
    evaluation = make_evaluation(submission, state=EvaluationState.SCORED)
    report = Report.objects.create(
        evaluation=evaluation, key_revision=submission.release.key_revision, scorer="1", document={}, sha256=""
    )
    return publish(report, by=submission.owner)


def who_sees(people, row):
    rows = type(row).objects.filter(pk=row.pk)
    return {name for name, user in people.items() if permissions.visible_to(user, rows).count() == 1}


def test_unpublished_is_for_owner_and_staff(people, submission):
    evaluation = make_evaluation(submission)
    for row in (submission, submission.model, evaluation):
        assert who_sees(people, row) == {"owner", "staff"}
    for name in ("stranger", "anonymous"):
        with pytest.raises(Http404):
            permissions.get_submission(people[name], submission.pk)


def test_published_is_for_everyone_but_its_other_evaluations_are_not(people, submission):
    entry = published(submission)
    other = make_evaluation(submission, split="sealed")
    assert who_sees(people, submission) == who_sees(people, submission.model) == set(people)
    assert who_sees(people, entry.report.evaluation) == set(people)
    assert who_sees(people, other) == {"owner", "staff"}


def test_withdrawn_stays_visible_as_a_tombstone(people, submission):
    published(submission)
    withdraw(submission, by=people["owner"])
    assert who_sees(people, submission) == set(people)


@pytest.mark.parametrize(
    ("visibility", "seen_by"),
    [
        (Visibility.PUBLIC, {"owner", "stranger", "staff", "anonymous"}),
        (Visibility.LISTED, {"owner", "staff"}),
        (Visibility.STAFF, {"staff"}),
    ],
)
def test_release_visibility_covers_what_is_published_on_it(people, visibility, seen_by):
    release = make_release(visibility=visibility)
    release.listed.set([people["owner"], make_user()])
    assert who_sees(people, release) == seen_by
    submission = make_submission(people["stranger"], release)
    published(submission)
    assert who_sees(people, submission) == seen_by | {"stranger"}
    assert who_sees(people, submission.model) == seen_by | {"stranger"}


@pytest.mark.parametrize("action", [Action.INSPECT, Action.PUBLISH, Action.WITHDRAW, Action.CANCEL])
def test_a_visible_submission_is_its_owners_to_act_on(people, submission, action):
    published(submission)
    assert permissions.get_submission(people["owner"], submission.pk, to=action) == submission
    assert permissions.get_submission(people["staff"], submission.pk, to=action) == submission
    for name in ("stranger", "anonymous"):
        with pytest.raises(PermissionDenied):
            permissions.get_submission(people[name], submission.pk, to=action)


def test_retry_is_for_staff(people, submission):
    evaluation = make_evaluation(submission)
    with pytest.raises(PermissionDenied):
        permissions.get_evaluation(people["owner"], evaluation.pk, to=Action.RETRY)
    assert permissions.get_evaluation(people["staff"], evaluation.pk, to=Action.RETRY) == evaluation


def test_model_is_edited_by_its_owner_only(people, submission):
    published(submission)
    slug = submission.model.slug
    assert permissions.get_model(people["owner"], slug, to_edit=True)
    with pytest.raises(PermissionDenied):
        permissions.get_model(people["stranger"], slug, to_edit=True)


def test_suggestions_are_their_owners_alone_and_organisers(people):
    row = make_suggestion(people["owner"])
    for name in ("owner", "staff"):
        assert permissions.get_suggestion(people[name], row.pk) == row
    for user in (people["stranger"], AnonymousUser()):
        with pytest.raises(Http404):
            permissions.get_suggestion(user, row.pk)


@pytest.mark.parametrize("address", ["", "not-a-uuid", "00000000-0000-0000-0000-000000000000", "\x00"])
def test_nonsense_addresses_are_not_found(people, address):
    with pytest.raises(Http404):
        permissions.get_submission(people["staff"], address)
    with pytest.raises(Http404):
        permissions.get_release(people["staff"], address)


def test_rules_cover_every_table_that_people_ask_for():
    assert set(permissions.RULES) == {Release, Model, Submission, Evaluation, Suggestion}
