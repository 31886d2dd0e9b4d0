"""The faults, each a function: it happens to an evaluation on its way, and checks what must hold then."""

import os
import signal
from collections.abc import Callable

import psutil
import psycopg
from django.db import connection

from leaderboard.models import Evaluation
from leaderboard.queue import Queue, dispatch
from leaderboard.services import flush_redis, kill_postgres, kill_redis, start_postgres, start_redis
from leaderboard.states import EvaluationState
from tests.builders.live import LiveSystem, children_of
from tests.builders.waiting import wait_until


def runner_is_killed(live: LiveSystem, evaluation: Evaluation) -> None:
    """kill -9 of the runner in mid-evaluation: its child dies with it."""
    runner = live.runner_of(evaluation)
    children = children_of(runner)
    runner.kill()
    wait_until(lambda: not any(alive(child) for child in children), within_s=5)


def child_is_killed(live: LiveSystem, evaluation: Evaluation) -> None:
    """kill -9 of the process that runs the model, and of the spare beside it."""
    for child in children_of(live.runner_of(evaluation)):
        child.kill()


def scorer_is_killed(live: LiveSystem, evaluation: Evaluation) -> None:
    """kill -9 of the scorer while it writes the report: a lock of ours holds it there."""
    with psycopg.connect(**connection_parameters()) as blocker:
        blocker.execute("LOCK TABLE leaderboard_report IN EXCLUSIVE MODE")
        held = evaluation.submission.evaluations.filter(state=EvaluationState.ANSWERED).exclude(lease_until=None)
        wait_until(held.exists, within_s=60, every_s=0.05)
        live.workers(Queue.SCORE)[0].kill()


def redis_loses_everything(live: LiveSystem, evaluation: Evaluation) -> None:
    """kill -9 of Redis in mid-evaluation, then an empty one: what waits behind goes on by itself."""
    live.runner_of(evaluation)
    kill_redis(live.services)
    waiting = live.accepted()
    start_redis(live.services)
    flush_redis(live.services)
    claimed = Evaluation.objects.filter(pk=waiting.pk).exclude(state=EvaluationState.QUEUED)
    wait_until(lambda: claimed.exists() or dispatch.rings_waiting(Queue.EVALUATE), within_s=10)
    live.assert_scored_once(waiting.submission, within_s=60)


def postgres_is_killed(live: LiveSystem, evaluation: Evaluation) -> None:
    """kill -9 of every process of Postgres in mid-evaluation, and a restart."""
    live.runner_of(evaluation)
    kill_postgres(live.services)
    connection.close()
    start_postgres(live.services)


def runner_sleeps_past_its_lease(live: LiveSystem, evaluation: Evaluation) -> None:
    """SIGSTOP of the runner: another takes over; the sleeper wakes up and must write nothing."""
    runner = live.runner_of(evaluation)
    first_token = Evaluation.objects.get(pk=evaluation.pk).token
    os.kill(runner.pid, signal.SIGSTOP)
    try:
        taken_over = Evaluation.objects.filter(pk=evaluation.pk, token__gt=first_token + 1)
        wait_until(taken_over.exists, within_s=12 * live.lease_s)
    finally:
        os.kill(runner.pid, signal.SIGCONT)
    fenced = evaluation.events.filter(to_state="fenced", token=first_token)
    wait_until(fenced.exists, within_s=20)
    assert not evaluation.events.filter(to_state="answered", token=first_token).exists()


FAULTS: tuple[Callable[[LiveSystem, Evaluation], None], ...] = (
    runner_is_killed, child_is_killed, scorer_is_killed, redis_loses_everything, postgres_is_killed,
    runner_sleeps_past_its_lease,
)  # fmt: skip


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def connection_parameters() -> dict[str, str]:
    database = connection.settings_dict
    return {
        "dbname": database["NAME"], "user": database["USER"], "password": database["PASSWORD"],
        "host": database["HOST"], "port": str(database["PORT"]),
    }  # fmt: skip
