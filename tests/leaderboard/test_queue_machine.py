"""The queue as a state machine: real Postgres against a model in memory, whatever order things happen in."""

import logging
from dataclasses import dataclass

import pytest
from _pytest.outcomes import Failed
from django.conf import settings
from django.core.management import call_command
from django.db.models.functions import Now
from hypothesis import HealthCheck, strategies
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from leaderboard import outcomes, states, submissions
from leaderboard.models import Evaluation, Event, KeyRevision, Report, Submission
from leaderboard.queue import Queue, claims, reconciler
from leaderboard.queue.claims import Claim
from leaderboard.states import EVALUATION_MOVES, SUBMISSION_MOVES, EvaluationState, SubmissionState, TransitionRefused
from tests.builders.leaderboard import make_release, make_submission, make_user

USERS = 2
HELD = {Queue.VALIDATE: "validating", Queue.EVALUATE: "running", Queue.SCORE: "scoring"}
WAITS = {Queue.VALIDATE: "uploaded", Queue.EVALUATE: "queued", Queue.SCORE: "answered"}


@dataclass
class Work:
    """What the model knows of one row; `state` has one word more than the tables: scoring is answered and leased."""

    user: int
    state: str
    token: int = 0
    attempts: int = 0
    resting: bool = False
    lapsed: bool = False

    @property
    def stored_state(self) -> str:
        return "answered" if self.state == "scoring" else self.state


class QueueMachine(RuleBasedStateMachine):
    """Workers may do anything at any time, also with claims they lost long ago."""

    @initialize()
    def start(self) -> None:
        self.users = [make_user(is_staff=True) for _ in range(USERS)]
        self.release = make_release()
        self.rows: dict = {}  # pk -> Work
        self.children: dict = {}  # submission pk -> evaluation pks
        self.claims: list[Claim] = []
        self.submit(0)

    # --- people ---
    @rule(user=strategies.integers(0, USERS - 1))
    def submit(self, user):
        row = make_submission(self.users[user], self.release, state=SubmissionState.UPLOADED)
        self.rows[row.pk] = Work(user=user, state="uploaded")
        self.children[row.pk] = []

    @precondition(lambda self: any(self.children.values()))
    @rule(data=strategies.data())
    def cancel(self, data):
        pk = data.draw(strategies.sampled_from([pk for pks in self.children.values() for pk in pks]))
        work = self.rows[pk]
        evaluation = Evaluation.objects.get(pk=pk)
        if work.state in ("failed", "cancelled", "scored"):
            with pytest.raises(TransitionRefused):
                submissions.cancel_evaluation(evaluation, by=self.users[0])
        else:
            submissions.cancel_evaluation(evaluation, by=self.users[0])
            work.state, work.lapsed = "cancelled", False

    @precondition(lambda self: self.children)
    @rule(data=strategies.data())
    def withdraw(self, data):
        pk = data.draw(strategies.sampled_from(list(self.children)))
        submission = Submission.objects.get(pk=pk)
        if self.rows[pk].state in ("rejected", "withdrawn"):
            with pytest.raises(TransitionRefused):
                submissions.withdraw(submission, by=self.users[0])
            return
        submissions.withdraw(submission, by=self.users[0])
        self.rows[pk].state, self.rows[pk].lapsed = "withdrawn", False
        for child in self.children[pk]:
            if self.rows[child].state not in ("failed", "cancelled", "scored"):
                self.rows[child].state, self.rows[child].lapsed = "cancelled", False

    # --- workers ---
    @rule(queue=strategies.sampled_from(list(HELD)))
    def claim(self, queue):
        held = [work.user for work in self.rows.values() if work.state == HELD[queue]]
        full = {user for user in held if held.count(user) >= settings.ACTIVE_EVALUATIONS_PER_USER}
        full = full if queue is Queue.EVALUATE else set()
        due = [
            pk for pk, work in self.rows.items()
            if work.state == WAITS[queue] and not work.resting and work.user not in full
        ]  # fmt: skip
        claim = claims.claim(queue, "worker")
        if not due:
            assert claim is None
            return
        work = self.rows[claim.pk]
        assert claim.pk in due
        assert held.count(work.user) == min(held.count(self.rows[pk].user) for pk in due), "unfair"
        assert claim.token == work.token + 1
        work.state, work.token, work.attempts = HELD[queue], claim.token, work.attempts + 1
        self.claims.append(claim)

    def ours(self, claim: Claim) -> bool:
        work = self.rows[claim.pk]
        return work.state == HELD[claim.queue] and work.token == claim.token

    @precondition(lambda self: self.claims)
    @rule(data=strategies.data())
    def heartbeat(self, data):
        claim = data.draw(strategies.sampled_from(self.claims))
        assert claims.renew(claim) == self.ours(claim)
        if self.ours(claim):
            self.rows[claim.pk].lapsed = False

    @precondition(lambda self: self.claims)
    @rule(data=strategies.data())
    def finish(self, data):
        """In time or much too late: the same call."""
        claim = data.draw(strategies.sampled_from(self.claims))
        if not self.ours(claim):
            with pytest.raises(TransitionRefused):
                self.write_result(claim)
            return
        self.write_result(claim)
        work = self.rows[claim.pk]
        work.state = {"validating": "accepted", "running": "answered", "scoring": "scored"}[work.state]
        work.attempts, work.lapsed = (work.attempts if work.state == "scored" else 0), False

    def write_result(self, claim: Claim) -> None:
        row = claim.table.objects.get(pk=claim.pk)
        if claim.queue is Queue.VALIDATE:
            states.advance_submission(row, SubmissionState.ACCEPTED, held_token=claim.token, attempts=0)
            for split in ("test", "sealed"):
                child = Evaluation.objects.create(submission=row, split=split)
                self.rows[child.pk] = Work(user=self.rows[row.pk].user, state="queued")
                self.children[row.pk].append(child.pk)
        elif claim.queue is Queue.EVALUATE:
            states.advance_evaluation(row, EvaluationState.ANSWERED, held_token=claim.token, attempts=0)
        else:
            states.advance_evaluation(row, EvaluationState.SCORED, held_token=claim.token)
            revision = KeyRevision.objects.get(release=self.release)
            Report.objects.create(evaluation=row, key_revision=revision, scorer="1", document={}, sha256="")

    @precondition(lambda self: self.claims)
    @rule(data=strategies.data(), infrastructure=strategies.booleans())
    def fail(self, data, infrastructure):
        claim = data.draw(strategies.sampled_from(self.claims))
        row, work = claim.table.objects.get(pk=claim.pk), self.rows[claim.pk]
        end = outcomes.try_again if infrastructure or claim.queue is Queue.VALIDATE else self.fail_for_good
        if not self.ours(claim):
            with pytest.raises(TransitionRefused):
                end(row, "why", held_token=claim.token)
            return
        end(row, "why", held_token=claim.token)
        if end is outcomes.try_again:
            self.sent_back(work, claim.queue)
        else:
            work.state, work.lapsed = "failed", False

    @staticmethod
    def fail_for_good(row, why, held_token):
        outcomes.fail(row, "code", why, held_token=held_token)

    def sent_back(self, work: Work, queue: Queue) -> None:
        work.lapsed = False
        if work.attempts >= settings.MAX_ATTEMPTS:
            work.state = "rejected" if queue is Queue.VALIDATE else "failed"
        else:
            work.state, work.resting, work.token = WAITS[queue], True, work.token + 1

    @precondition(lambda self: self.claims)
    @rule(data=strategies.data())
    def worker_stops_in_order(self, data):
        claim = data.draw(strategies.sampled_from(self.claims))
        if not self.ours(claim):
            with pytest.raises(TransitionRefused):
                claims.give_back(claim, "stopped")
            return
        claims.give_back(claim, "stopped")
        work = self.rows[claim.pk]
        work.state, work.attempts, work.lapsed = WAITS[claim.queue], work.attempts - 1, False

    @precondition(lambda self: self.claims)
    @rule(data=strategies.data())
    def worker_crashes(self, data):
        self.claims.remove(data.draw(strategies.sampled_from(self.claims)))

    # --- time ---
    @precondition(lambda self: self.claims)
    @rule(data=strategies.data())
    def lease_lapses(self, data):
        claim = data.draw(strategies.sampled_from(self.claims))
        if self.ours(claim):
            claim.held().update(lease_until=Now())
            self.rows[claim.pk].lapsed = True

    @rule()
    def back_off_ends(self):
        for table in (Submission, Evaluation):
            table.objects.exclude(not_before=None).update(not_before=Now())
        for work in self.rows.values():
            work.resting = False

    @precondition(lambda self: self.claims)
    @rule(data=strategies.data())
    def worker_sleeps_too_long(self, data):
        """What SIGSTOP does: its claim is void, but it still holds it and will write."""
        self.lease_lapses(data)
        self.reconcile()
        self.back_off_ends()

    @rule()
    def reconcile(self):
        lapsed = [work for work in self.rows.values() if work.lapsed]
        assert reconciler.reconcile() == len(lapsed)
        for work in lapsed:
            self.sent_back(work, next(queue for queue in HELD if HELD[queue] == work.state))

    # --- what must hold at every moment ---
    @invariant()
    def tables_equal_the_model(self):
        if not hasattr(self, "rows"):
            return
        stored = {}
        for table in (Submission, Evaluation):
            stored |= {row.pk: (row.state, row.token, row.attempts) for row in table.objects.all()}
        assert stored == {pk: (work.stored_state, work.token, work.attempts) for pk, work in self.rows.items()}

    @invariant()
    def scored_exactly_once(self):
        scored = Evaluation.objects.filter(state=EvaluationState.SCORED).values_list("pk", flat=True)
        assert sorted(Report.objects.values_list("evaluation_id", flat=True)) == sorted(scored)

    def teardown(self) -> None:
        try:
            self.history_is_a_path()
        finally:
            call_command("flush", interactive=False, verbosity=0)

    def history_is_a_path(self) -> None:
        paths: dict = {}
        for event in Event.objects.order_by("id"):
            paths.setdefault(event.evaluation_id or event.submission_id, []).append(event)
        for pk, events in paths.items():
            moves = EVALUATION_MOVES if events[0].evaluation_id else SUBMISSION_MOVES
            for earlier, later in zip(events, events[1:], strict=False):
                assert later.from_state == earlier.to_state
            for event in events:
                assert event.to_state in moves[event.from_state] or event.from_state == event.to_state == "answered"
            tokens = [event.token for event in events if event.token is not None]
            assert tokens == sorted(tokens), pk


def run_machine(examples: int) -> None:
    machine = QueueMachine.TestCase
    machine.settings = hypothesis_settings(
        max_examples=examples, stateful_step_count=50, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    machine("runTest").runTest()


@pytest.fixture
def frozen_time(tmp_path, settings, caplog):
    """Leases and rests end only where a rule says so; no Redis answers."""
    caplog.set_level(logging.ERROR)
    settings.LEASE_S, settings.BACKOFF_S = 3600, 3600
    settings.REDIS_URL = f"unix://{tmp_path}/no-redis-here"


@pytest.mark.django_db(transaction=True)
def test_queue_agrees_with_the_model(frozen_time):
    run_machine(examples=30)


@pytest.fixture
def machine(frozen_time, transactional_db):
    machine = QueueMachine()
    machine.start()
    return machine


class Latest:
    """Chooses the first or the latest of what there is to choose from."""

    def __init__(self, index):
        self.index = index

    def draw(self, choices):
        return choices.elements[self.index]


def write_late(machine):
    """A worker sleeps past its lease, another takes over, the first wakes up and writes."""
    machine.claim(Queue.VALIDATE)
    machine.worker_sleeps_too_long(Latest(0))
    machine.claim(Queue.VALIDATE)
    machine.finish(Latest(0))


def test_late_write_is_fenced(machine):
    write_late(machine)
    machine.finish(Latest(1))


def test_without_the_token_check_a_late_write_would_get_through(machine, monkeypatch):
    advance = states._advance
    monkeypatch.setattr(states, "_advance", lambda *args: advance(*args[:6], None, args[7]))
    with pytest.raises(Failed, match="DID NOT RAISE"):
        write_late(machine)


def test_machine_catches_workers_that_never_notice_a_lost_claim(machine, monkeypatch):
    monkeypatch.setattr(claims, "renew", lambda claim: True)
    machine.claim(Queue.VALIDATE)
    machine.worker_sleeps_too_long(Latest(0))
    machine.claim(Queue.VALIDATE)
    with pytest.raises(AssertionError):
        machine.heartbeat(Latest(0))
