"""kill -9 in the middle of a sweep: the next run goes on after the last whole α, and nothing is different for it."""

from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest
from django.db.models.functions import Now

from evaluator.answering.sweeps.sweep_answers import read_sweep
from leaderboard import storage
from leaderboard.lineage import sweeps
from leaderboard.models import Analysis, BaseLink, Evaluation, EvaluationPart
from leaderboard.models.submissions import Purpose
from leaderboard.queue import Queue, dispatch
from leaderboard.states import EvaluationState
from tests.builders.live import LiveSystem, children_of
from tests.builders.system import tiny_weights
from tests.builders.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
LEASE_S = 3.0
SPLITS = ("dev", "test")
ITEMS_PER_SPLIT = 40  # which are answered 21 times
WITHIN_S = 60


def child_dies(runner: psutil.Process) -> None:
    for child in children_of(runner):
        with suppress(psutil.NoSuchProcess):  # the inner one ends with the outer
            child.kill()


def runner_dies(runner: psutil.Process) -> None:
    runner.kill()


def pair(live: LiveSystem) -> BaseLink:
    """Two accepted checkpoints, linked as their author links them."""
    base, tuned = (live.accepted(tiny_weights(seed)).submission for seed in (0, 1))
    return BaseLink.objects.create(
        submission=tuned, model=base.model, base=base, after_scores=False, declared_at=Now()
    )  # fmt: skip


def asked(link: BaseLink) -> Evaluation:
    return sweeps.ask(link.submission, by=link.submission.owner)


def scored(sweep: Evaluation) -> bool:
    sweep.refresh_from_db()
    assert sweep.state not in (EvaluationState.FAILED, EvaluationState.CANCELLED), sweep.failure_message
    return sweep.state == EvaluationState.SCORED


@pytest.mark.faults  # short forms: the killed child of a sweep in a sandbox test, the killed runner of a generative run
@pytest.mark.parametrize("end", [runner_dies, child_dies])
def test_a_killed_sweep_loses_at_most_one_alpha(live: LiveSystem, end: Callable[[psutil.Process], None]):
    first, second = pair(live), pair(live)
    undisturbed = asked(first)
    wait_until(lambda: scored(undisturbed), within_s=WITHIN_S, every_s=0.2)
    sweep = asked(second)
    parts = EvaluationPart.objects.filter(evaluation=sweep)
    wait_until(lambda: parts.count() >= 3, within_s=WITHIN_S, every_s=0.01)
    runner = live.runner_of(sweep)
    end(runner)
    kept = max(parts.values_list("stop", flat=True))
    assert not scored(sweep), "it was killed too late"
    dispatch.ring_now(Queue.EVALUATE)
    wait_until(lambda: scored(sweep), within_s=WITHIN_S, every_s=0.2)
    assert kept <= sweep.run["resumed_at"] <= kept + 1 and undisturbed.run["resumed_at"] is None
    with storage.local_path(sweep.answers_sha256) as ours, storage.local_path(undisturbed.answers_sha256) as theirs:
        assert read_sweep(ours).equals(read_sweep(theirs))
    documents = [Analysis.objects.get(sweep=each, superseded_at=None).document for each in (sweep, undisturbed)]
    assert documents[0] == documents[1]
    assert not EvaluationPart.objects.filter(evaluation__purpose=Purpose.SWEEP).exists()
