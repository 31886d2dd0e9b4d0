"""The one writer of states: legal moves, fencing, and a history that cannot be altered."""

import pytest
from django.db import DatabaseError, connection, transaction

from leaderboard import states
from leaderboard.models import Event
from leaderboard.states import EVALUATION_MOVES, EvaluationState, SubmissionState, TransitionRefused
from tests.builders.leaderboard import make_evaluation, make_release, make_submission, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def submission():
    return make_submission(make_user(), make_release())


@pytest.mark.parametrize("start", EvaluationState)
@pytest.mark.parametrize("target", EvaluationState)
def test_only_legal_moves_are_made(submission, start, target):
    evaluation = make_evaluation(submission, state=start)
    if target in EVALUATION_MOVES[start]:
        states.advance_evaluation(evaluation, target)
        assert evaluation.state == target
        event = Event.objects.get(evaluation=evaluation)
        assert (event.from_state, event.to_state) == (start, target)
    else:
        with pytest.raises(TransitionRefused):
            states.advance_evaluation(evaluation, target)
        evaluation.refresh_from_db()
        assert evaluation.state == start
        assert not Event.objects.exists()


def test_writer_with_an_old_token_is_refused_and_changes_nothing(submission):
    evaluation = make_evaluation(submission, state=EvaluationState.RUNNING, token=4)
    with pytest.raises(TransitionRefused, match="too late"):
        states.advance_evaluation(evaluation, EvaluationState.ANSWERED, held_token=3, answers_sha256="0" * 64)
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.answers_sha256) == (EvaluationState.RUNNING, "")
    states.advance_evaluation(evaluation, EvaluationState.ANSWERED, held_token=4, answers_sha256="0" * 64)
    assert evaluation.answers_sha256 == "0" * 64


def test_stale_object_in_memory_does_not_undo_another_writer(submission):
    mine = make_evaluation(submission)
    theirs = type(mine).objects.get(pk=mine.pk)
    states.advance_evaluation(theirs, EvaluationState.CANCELLED)
    with pytest.raises(TransitionRefused):
        states.advance_evaluation(mine, EvaluationState.RUNNING)


def test_end_of_an_evaluation_is_dated_and_frees_its_lease(submission):
    evaluation = make_evaluation(submission, state=EvaluationState.RUNNING, worker="w", token=1)
    states.advance_evaluation(evaluation, EvaluationState.FAILED, failure_code="x")
    assert evaluation.finished_at is not None
    assert (evaluation.worker, evaluation.lease_until) == ("", None)


@pytest.mark.parametrize("change", ["UPDATE leaderboard_event SET note = 'x'", "DELETE FROM leaderboard_event"])
def test_events_cannot_be_altered_even_by_sql(submission, change):
    states.advance_submission(submission, SubmissionState.WITHDRAWN, note="why")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
    assert Event.objects.get().note == "why"


def test_unknown_state_is_refused_by_the_database(submission):
    with pytest.raises(DatabaseError), transaction.atomic():
        type(submission).objects.filter(pk=submission.pk).update(state="nonsense")
