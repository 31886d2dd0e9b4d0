"""Claiming, reconciling and ringing under real concurrency."""

import time

import pytest
from django.db.models.functions import Now
from django.test.utils import override_settings

from leaderboard import submissions
from leaderboard.models import Evaluation, Event
from leaderboard.queue import Queue, claims, dispatch, reconciler
from leaderboard.services import flush_redis
from leaderboard.states import EvaluationState
from tests.builders.leaderboard import make_evaluation, make_release, make_submission, make_user
from tests.builders.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def release(transactional_db):
    return make_release()


def queued(owner, release, n):
    return [make_evaluation(make_submission(owner, release)) for _ in range(n)]


def test_workers_never_claim_the_same_work(release):
    for _ in range(10):
        queued(make_user(), release, 2)

    def take_all():
        found = []
        while claim := claims.claim(Queue.EVALUATE, "w"):
            found.append(claim.pk)
        return found

    taken = [pk for found in in_threads(take_all) for pk in found]
    assert len(taken) == len(set(taken)) == 20


def test_a_user_never_has_more_running_than_allowed(release):
    queued(make_user(), release, 10)
    taken = in_threads(lambda: claims.claim(Queue.EVALUATE, "w"))
    assert sum(claim is not None for claim in taken) == 2


def test_users_take_turns_however_much_one_has_queued(release):
    busy, modest = make_user(), make_user()
    first = queued(busy, release, 3)
    second = queued(modest, release, 1)
    order = []
    while claim := claims.claim(Queue.EVALUATE, "w"):
        order.append(claim.pk)
        claim.held().update(state=EvaluationState.SCORED)
    assert order == [first[0].pk, second[0].pk, first[1].pk, first[2].pk]


def test_paused_queue_gives_nothing_and_goes_on_when_resumed(release):
    staff = make_user(is_staff=True)
    queued(make_user(), release, 1)
    submissions.pause_queue(Queue.EVALUATE, by=staff)
    assert claims.claim(Queue.EVALUATE, "w") is None
    submissions.resume_queue(Queue.EVALUATE, by=staff)
    assert claims.claim(Queue.EVALUATE, "w") is not None
    audit = Event.objects.filter(queue=Queue.EVALUATE).values_list("to_state", "actor")
    assert list(audit) == [("paused", staff.actor_id), ("resumed", staff.actor_id)]


def test_ten_reconcilers_at_once_requeue_each_lost_work_once(release):
    queued(make_user(), release, 2)
    while claims.claim(Queue.EVALUATE, "w"):
        pass
    Evaluation.objects.update(lease_until=Now())
    found = in_threads(reconciler.reconcile, times=10)
    assert sum(n or 0 for n in found) == 2
    assert Event.objects.filter(to_state="queued").count() == 2
    assert list(Evaluation.objects.values_list("state", "attempts", "token")) == [("queued", 1, 2)] * 2


def test_work_lost_too_often_fails_and_says_that_it_cost_nothing(release):
    evaluation = queued(make_user(), release, 1)[0]
    for _ in range(3):
        Evaluation.objects.update(not_before=None)
        assert claims.claim(Queue.EVALUATE, "w")
        Evaluation.objects.update(lease_until=Now())
        reconciler.reconcile()
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.failure_code) == (EvaluationState.FAILED, "worker_lost")
    assert "cost nothing" in evaluation.failure_message


@override_settings(HEARTBEAT_S=0.05, LEASE_S=0.3)
def test_heartbeat_keeps_a_lease_alive_and_notices_a_cancellation(release):
    evaluation = queued(make_user(), release, 1)[0]
    claim = claims.claim(Queue.EVALUATE, "w")
    with claims.Heartbeat(claim) as heartbeat:
        time.sleep(0.6)
        assert reconciler.reconcile() == 0
        assert not heartbeat.lost()
        submissions.cancel_evaluation(evaluation, by=make_user(is_staff=True))
        time.sleep(0.2)
        assert heartbeat.lost()


@override_settings(HEARTBEAT_S=0.05, LEASE_S=0.3)
def test_heartbeat_that_cannot_reach_the_database_gives_up_before_the_lease_ends(release, monkeypatch):
    queued(make_user(), release, 1)
    claim = claims.claim(Queue.EVALUATE, "w")

    def unreachable(claim):
        raise claims.DatabaseError("no route")

    monkeypatch.setattr(claims, "renew", unreachable)
    with claims.Heartbeat(claim) as heartbeat:
        assert not heartbeat.lost()
        time.sleep(0.28)
        assert heartbeat.lost()


def test_reconciler_rings_for_what_waits_when_redis_lost_everything(release, services):
    flush_redis(services)
    queued(make_user(), release, 3)
    for _ in range(3):
        reconciler.reconcile()
        assert dispatch.rings_waiting(Queue.EVALUATE) == 3
    flush_redis(services)
