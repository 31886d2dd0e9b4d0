"""Studies as work of a queue: they stand back behind evaluations, nobody loses them, nobody finishes one twice."""

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from leaderboard import states, submissions
from leaderboard.models import Evaluation, Event, Study
from leaderboard.models.submissions import Purpose
from leaderboard.queue import Queue, claims, dispatch, reconciler
from leaderboard.services import flush_redis
from leaderboard.states import EvaluationState, StudyState, TransitionRefused
from tests.builders.leaderboard import make_evaluation, make_release, make_submission, make_user
from tests.builders.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def release(transactional_db):
    return make_release()


@pytest.fixture
def study(release) -> Study:
    return Study.objects.create(submission=make_submission(make_user(), release), kind="efficiency")


def claimed(queue: Queue = Queue.STUDY):
    return claims.claim(queue, "w")


def test_a_study_stands_back_while_its_release_has_anything_to_evaluate(release, study):
    evaluation = make_evaluation(make_submission(make_user(), release))
    assert claimed() is None
    claims.claim(Queue.EVALUATE, "w")
    assert claimed() is None, "one runs"
    Evaluation.objects.update(state=EvaluationState.ANSWERED, lease_until=None)
    make_evaluation(make_submission(make_user(), make_release()))  # of another release
    assert claimed().pk == study.pk
    assert evaluation.split == "test"


def test_it_does_not_wait_for_a_paused_queue_nor_for_ever(release, study, settings):
    staff = make_user(is_staff=True)
    make_evaluation(make_submission(make_user(), release))
    submissions.pause_queue(Queue.EVALUATE, by=staff)
    assert claims.waiting(Queue.STUDY).count() == 1
    submissions.resume_queue(Queue.EVALUATE, by=staff)
    assert claims.waiting(Queue.STUDY).count() == 0
    settings.STUDY_PATIENCE_S = 0
    assert claimed().pk == study.pk


def test_a_paused_queue_of_studies_gives_nothing(study):
    staff = make_user(is_staff=True)
    submissions.pause_queue(Queue.STUDY, by=staff)
    assert claimed() is None
    submissions.resume_queue(Queue.STUDY, by=staff)
    assert claimed().pk == study.pk


def test_runs_for_embeddings_come_last_and_count_against_nobody(release):
    owner = make_user()
    embeds = [make_evaluation(make_submission(owner, release), purpose=Purpose.EMBED) for _ in range(3)]
    scores = [make_evaluation(make_submission(owner, release)) for _ in range(2)]
    order = [claimed(Queue.EVALUATE).pk for _ in range(5)]
    assert order[:2] == [each.pk for each in scores]  # both of the two that the owner may have at once
    assert order[2:] == [each.pk for each in embeds], "the owner's limit is for evaluations that rank"
    later = [make_evaluation(make_submission(owner, release)) for _ in range(2)]
    Evaluation.objects.filter(pk__in=order[:2]).update(state=EvaluationState.SCORED)
    assert {claimed(Queue.EVALUATE).pk for _ in range(2)} == {each.pk for each in later}


def test_one_live_study_of_a_kind(study):
    with pytest.raises(IntegrityError), transaction.atomic():
        Study.objects.create(submission=study.submission, kind="efficiency")
    states.advance_study(study, StudyState.FAILED)
    Study.objects.create(submission=study.submission, kind="efficiency")


def test_a_lost_study_is_queued_again_once_and_late_writes_are_refused(study):
    lost = claimed()
    Study.objects.update(lease_until=Now())
    assert sum(found or 0 for found in in_threads(reconciler.reconcile, times=5)) == 1
    study.refresh_from_db()
    assert (study.state, study.attempts, study.token, study.worker) == (StudyState.QUEUED, 1, 2, "")
    with pytest.raises(TransitionRefused):
        states.advance_study(lost.row(), StudyState.DONE, held_token=lost.token)
    Study.objects.update(not_before=None)
    again = claimed()
    with pytest.raises(TransitionRefused):
        states.advance_study(lost.row(), StudyState.DONE, held_token=lost.token)
    states.advance_study(again.row(), StudyState.DONE, held_token=again.token)
    history = Event.objects.filter(study=study).values_list("from_state", "to_state", "token")
    assert list(history) == [
        ("queued", "running", 1), ("running", "queued", 2), ("queued", "running", 3), ("running", "done", 3),
    ]  # fmt: skip


def test_one_lost_too_often_fails_and_can_be_asked_for_again(study, settings):
    for _ in range(settings.MAX_ATTEMPTS):
        Study.objects.update(not_before=None)
        assert claimed()
        Study.objects.update(lease_until=Now())
        reconciler.reconcile()
    study.refresh_from_db()
    assert (study.state, study.failure_code) == (StudyState.FAILED, "worker_lost")
    assert "ask for it again" in study.failure_message and study.finished_at is not None


def test_a_worker_that_ends_gives_its_study_back_uncounted(study):
    claims.give_back(claimed(), "the worker was stopped")
    study.refresh_from_db()
    assert (study.state, study.attempts) == (StudyState.QUEUED, 0)


def test_workers_never_claim_the_same_study(release):
    for _ in range(6):
        Study.objects.create(submission=make_submission(make_user(), release), kind="efficiency")
    taken = [claim.pk for claim in in_threads(claimed, times=8) if claim]
    assert len(taken) == len(set(taken)) == 6


def test_the_reconciler_rings_for_studies_that_may_be_claimed(release, study, services):
    flush_redis(services)
    reconciler.reconcile()
    assert dispatch.rings_waiting(Queue.STUDY) == 1
    flush_redis(services)
    make_evaluation(make_submission(make_user(), release))
    reconciler.reconcile()
    assert dispatch.rings_waiting(Queue.STUDY) == 0
    flush_redis(services)
