"""What a study does with a task, in this process: two curves, a ceiling, and a plain error for what cannot be learned
from."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from evaluator.active_learning.experiments.runs import run
from evaluator.active_learning.heads.standard import fit_standard, standard_of
from evaluator.active_learning.names import HeadKind, Start, Strategy
from evaluator.active_learning.studies.soundness import curve_task, sound
from evaluator.active_learning.studies.study import perform
from evaluator.active_learning.tasks import CurveResult, CurveTask, Data, StrategyResult, StrategyTask
from evaluator.errors import InputError
from tests.builders.pools import blobs

SEEDS = (0, 1, 2)


def some_data(n: int = 60, m: int = 25, n_classes: int = 3, **how: float) -> Data:
    features, labels = blobs(n + m, 6, n_classes, **how)
    return Data(
        pool=features[:n].numpy(), labels=labels[:n].numpy(), evaluated=features[n:].numpy(), n_classes=n_classes
    )


def ids_of(data: Data) -> list[str]:
    return [f"image-{number}" for number in range(len(data.pool))]


def some_task(**how: float) -> CurveTask:
    data = some_data(**how)
    return curve_task(data, ids_of(data), seeds=SEEDS, salt="release:cells")


def chances(task: CurveTask, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Of one head, trained on these rows alone."""
    pool, labels = torch.from_numpy(task.data.pool), torch.from_numpy(task.data.labels)
    own = torch.from_numpy(rows)
    head = fit_standard([pool[own]], [labels[own]], task.data.n_classes, standard=standard_of(pool))[0]
    return head.probabilities(torch.from_numpy(task.data.evaluated)).numpy()


@pytest.fixture(scope="module")
def studied() -> tuple[CurveTask, CurveResult]:
    task = some_task()
    result = perform(task)
    assert isinstance(result, CurveResult)
    return task, result


def test_every_point_of_both_curves_is_a_head_on_the_labels_held(studied: tuple[CurveTask, CurveResult]) -> None:
    task, result = studied
    assert task.budgets == (3, 6, 12, 24) and result.same.shape == (3, 4, 25, 3)
    for seed in range(3):
        for place, budget in enumerate(task.budgets):
            same, own = chances(task, task.orders[seed, :budget]), chances(task, result.own_ids[seed, :budget])
            assert np.allclose(result.same[seed, place], same, atol=1e-4)
            assert np.allclose(result.own[seed, place], own, atol=1e-4)
    assert np.allclose(result.ceiling, chances(task, np.arange(60)), atol=1e-4)


def test_own_choice_is_the_centroid_start_and_then_dropquery_by_the_papers_head(
    studied: tuple[CurveTask, CurveResult],
) -> None:
    task, result = studied
    ids = result.own_ids
    assert all(len(set(own)) == task.budgets[-1] for own in ids.tolist())
    as_strategy = StrategyTask(
        data=task.data, strategy=Strategy.DROPQUERY, start=Start.CENTROID, head=HeadKind.PAPER, rounds=2, per_round=3,
        seeds=SEEDS,
    )  # fmt: skip
    first_two_budgets = run(as_strategy).ids.reshape(3, 6)
    assert (ids[:, :6] == first_two_budgets).all()


def test_the_same_task_gives_the_same_result(studied: tuple[CurveTask, CurveResult]) -> None:
    task, result = studied
    again = perform(task)
    assert isinstance(again, CurveResult)
    for name in ("same", "own", "own_ids", "ceiling"):
        assert np.array_equal(getattr(again, name), getattr(result, name))


def test_a_strategy_can_be_run_with_either_head() -> None:
    data = some_data()
    for head in HeadKind:
        task = StrategyTask(
            data=data, strategy=Strategy.MARGIN, start=Start.RANDOM, head=head, rounds=3, per_round=4, seeds=SEEDS
        )  # fmt: skip
        shares: list[float] = []
        result = perform(task, shares.append)
        assert isinstance(result, StrategyResult) and result.probabilities.shape == (3, 3, 25, 3)
        assert all(len(set(own)) == 12 for own in result.ids.reshape(3, 12).tolist())
        assert shares == sorted(shares) and shares[-1] == 1.0


def test_embeddings_of_other_number_types_are_taken_as_they_are() -> None:
    data = some_data()
    wide = replace(data, pool=data.pool.astype(np.float64), evaluated=data.evaluated.astype(np.float16))
    task = StrategyTask(
        data=wide, strategy=Strategy.BADGE, start=Start.CENTROID, head=HeadKind.STANDARD, rounds=2, per_round=4,
        seeds=SEEDS,
    )  # fmt: skip
    found, expected = perform(task), perform(replace(task, data=data))
    assert isinstance(found, StrategyResult) and isinstance(expected, StrategyResult)
    assert np.array_equal(found.ids, expected.ids)
    assert np.allclose(found.probabilities, expected.probabilities, atol=0.02)


def with_pool(data: Data, pool: NDArray) -> Data:
    return replace(data, pool=pool)


def broken(data: Data) -> dict[str, Data]:
    """By the code of what is wrong."""
    nan = data.pool.copy()
    nan[7, 2] = np.nan
    blank = np.tile(data.pool[:1], (len(data.pool), 1))
    blank = blank + np.float32(1e-9) * np.arange(len(blank), dtype=np.float32)[:, None]  # as embedded in other batches
    return {
        "not_finite_features": with_pool(data, nan),
        "equal_features": with_pool(data, blank),
        "other_dimensions": with_pool(data, data.pool[:, :5]),
        "one_class": replace(data, labels=np.zeros_like(data.labels)),
        "no_images": replace(data, evaluated=data.evaluated[:0]),
    }


@pytest.mark.parametrize("code", list(broken(some_data())))
def test_what_cannot_be_learned_from_is_a_plain_error(code: str) -> None:
    data = broken(some_data())[code]
    for attempt in (sound, lambda each: curve_task(each, ids_of(each), seeds=SEEDS, salt="x")):
        with pytest.raises(InputError) as raised:
            attempt(data)
        assert [problem.code for problem in raised.value.problems] == [code]
        assert raised.value.problems[0].message.endswith(".")
    task = StrategyTask(
        data=data, strategy=Strategy.RANDOM, start=Start.RANDOM, head=HeadKind.STANDARD, rounds=1, per_round=3,
        seeds=SEEDS,
    )  # fmt: skip
    with pytest.raises(InputError, match=code):
        perform(task)


def test_a_pool_without_room_for_one_label_per_class_is_refused_and_one_with_room_for_two_is_not() -> None:
    data = some_data(n=14, n_classes=4)
    small = replace(data, pool=data.pool[:7], labels=np.array([0, 1, 2, 3, 0, 1, 2]))
    with pytest.raises(InputError, match="pool_too_small"):
        curve_task(small, ids_of(small), seeds=SEEDS, salt="x")
    assert curve_task(data, ids_of(data), seeds=SEEDS, salt="x").budgets == (4,)
    result = perform(curve_task(data, ids_of(data), seeds=SEEDS, salt="x"))
    assert isinstance(result, CurveResult) and np.isfinite(result.own).all()


def test_labels_that_are_no_classes_are_a_bug() -> None:
    data = some_data()
    with pytest.raises(ValueError, match="classes"):
        sound(replace(data, labels=data.labels - 1))
