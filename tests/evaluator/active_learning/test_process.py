"""The process in which heads are trained: results as in this one, no secrets, and a plain error however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from evaluator.active_learning.names import HeadKind, Start, Strategy
from evaluator.active_learning.studies.exchange import read_task, read_work, write_work
from evaluator.active_learning.studies.process import perform_apart
from evaluator.active_learning.studies.study import perform
from evaluator.active_learning.tasks import CurveResult, StrategyResult, StrategyTask, Task
from evaluator.errors import EvaluationFailed, InputError
from tests.builders.waiting import all_end
from tests.evaluator.active_learning.test_study import SEEDS, some_data, some_task


def strategy_task(rounds: int = 2, **how: float) -> StrategyTask:
    return StrategyTask(
        data=some_data(**how), strategy=Strategy.DROPQUERY, start=Start.CENTROID, head=HeadKind.PAPER, rounds=rounds,
        per_round=3, seeds=SEEDS,
    )  # fmt: skip


def studies() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "study" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE]


def test_gives_what_this_process_gives_in_order_and_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_ROOT", "/somewhere/keys")
    monkeypatch.setenv("SECRET_KEY", "hush")
    seen: list[float] = []
    environments: list[dict[str, str]] = []
    niceness: list[int] = []

    def watch(done: float, total: int) -> None:
        assert total == 2
        seen.append(done)
        if done > 0 and (found := studies()):
            environments.append(found[0].environ())
            niceness.append(found[0].nice())

    tasks: list[Task] = [some_task(), strategy_task()]
    curve, chosen = perform_apart(tasks, threads=1, folder=tmp_path, on_progress=watch)
    expected = [perform(task) for task in tasks]
    assert isinstance(curve, CurveResult) and isinstance(chosen, StrategyResult)
    for result, own, names in ((curve, expected[0], ("same", "own", "ceiling")), (chosen, expected[1], ("ids",))):
        for name in names:
            assert np.allclose(getattr(result, name), getattr(own, name), atol=1e-4)
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 2
    assert environments and not {"KEY_ROOT", "SECRET_KEY"} & set(environments[0])
    assert niceness[0] >= 10
    assert list(tmp_path.iterdir()) == [], "the private folder outlived the call"


def test_an_input_error_passes_through_with_its_code_and_words() -> None:
    data = some_data()
    pool = data.pool.copy()
    pool[3] = np.inf
    tasks = [
        strategy_task(),
        StrategyTask(**{**vars(strategy_task()), "data": type(data)(**{**vars(data), "pool": pool})}),
    ]
    with pytest.raises(InputError) as raised:
        perform_apart(tasks)
    assert [(problem.code, problem.row) for problem in raised.value.problems] == [("not_finite_features", 4)]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_dies_is_the_operators_to_retry(end: signal.Signals) -> None:
    def kill(done: float, total: int) -> None:
        for child in studies():
            child.send_signal(end)

    with pytest.raises(EvaluationFailed) as raised:
        perform_apart([some_task()], on_progress=kill)
    assert raised.value.code == "study_failed" and raised.value.retry
    assert f"signal {end.value}" in raised.value.message


def test_takes_no_longer_than_allowed_and_leaves_nothing_behind() -> None:
    with pytest.raises(EvaluationFailed) as raised:
        perform_apart([some_task()], timeout_s=0.2)
    assert raised.value.code == "study_timeout" and not studies()


def test_ends_when_progress_is_not_wanted_any_more() -> None:
    class Stop(Exception):
        pass

    def stop(done: float, total: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        perform_apart([some_task()], on_progress=stop)
    assert not studies()


def test_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """kill -9 of the parent while the child imports torch."""
    program = (
        "from evaluator.active_learning.studies.process import perform_apart; "
        "from tests.evaluator.active_learning.test_process import strategy_task; "
        "perform_apart([strategy_task(rounds=9, n=4000)], on_progress=lambda done, total: print(done, flush=True))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3],
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert parent.stdout is not None and parent.stdout.readline()
    (child,) = [each for each in psutil.Process(parent.pid).children() if "study" in each.cmdline()]
    parent.kill()
    parent.wait()
    assert all_end([child], within_s=20)


def test_nothing_is_started_for_nothing() -> None:
    began = time.monotonic()
    assert perform_apart([]) == []
    assert time.monotonic() - began < 0.5


def test_tasks_are_written_as_they_are(tmp_path: Path) -> None:
    tasks: list[Task] = [some_task(), strategy_task()]
    write_work(tmp_path, tasks, nice=3)
    kinds, nice = read_work(tmp_path)
    assert (kinds, nice) == (["curve", "strategy"], 3)
    for place, (kind, task) in enumerate(zip(kinds, tasks, strict=True)):
        read = read_task(tmp_path, place, kind)
        assert type(read) is type(task)
        for name, value in vars(task).items():
            if name == "data":
                assert all(np.array_equal(getattr(read.data, each), own) for each, own in vars(value).items())
            elif isinstance(value, np.ndarray):
                assert np.array_equal(getattr(read, name), value)
            else:
                assert getattr(read, name) == value and type(getattr(read, name)) is type(value)
