"""Runs: lock-step over seeds against a plain loop over one seed, repeats, budgets, hard pools."""

import dataclasses

import numpy as np
import pytest
import torch

from evaluator.active_learning.experiments.curves import curves_of
from evaluator.active_learning.experiments.runs import run, walk
from evaluator.active_learning.fits import fit_of
from evaluator.active_learning.generators import generator_of
from evaluator.active_learning.heads.paper import fit_paper
from evaluator.active_learning.names import HeadKind, Start, Strategy, own_start
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.propagation import propagate
from evaluator.active_learning.starts import choose_start
from evaluator.active_learning.state import State
from evaluator.active_learning.strategies.table import ask
from evaluator.active_learning.tasks import Data, StrategyTask
from evaluator.errors import InputError
from tests.builders.mixtures import mixture

N_CLASSES = 4


def a_task(strategy: Strategy = Strategy.RANDOM, *, seeds=(1, 10, 100), **changed) -> StrategyTask:
    made = mixture(n_pool=120, n_test=60, dim=24, n_classes=N_CLASSES)
    data = Data(pool=made.train_x, labels=made.train_y, evaluated=made.test_x, n_classes=N_CLASSES)
    task = StrategyTask(
        data=data, strategy=strategy, start=own_start(strategy), head=HeadKind.PAPER, rounds=3, per_round=8, seeds=seeds
    )
    return dataclasses.replace(task, **changed)


def one_seed(task: StrategyTask, seed: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """ids and probabilities of each round, one step after the other."""
    pool = Pool(features=torch.from_numpy(task.data.pool), n_classes=N_CLASSES)
    labels, evaluated = torch.from_numpy(task.data.labels), torch.from_numpy(task.data.evaluated)
    rounds = [choose_start(task.start, pool, task.per_round, generator=generator_of(seed, "start"))]
    chances = []
    for number in range(task.rounds):
        held = torch.cat(rounds)
        head, = fit_paper([pool.features[held]], [labels[held]], N_CLASSES,
                          generators=[generator_of(seed, "head", str(number))])  # fmt: skip
        chances.append(head.probabilities(evaluated))
        stream = generator_of(seed, "choice", str(number + 1))
        state = State(pool=pool, labelled=held, labels=labels[held], head=head, count=task.per_round, generator=stream)
        rounds.append(ask(task.strategy, state))
    return rounds[: task.rounds], chances


@pytest.mark.parametrize("strategy", [Strategy.DROPQUERY, Strategy.BADGE, Strategy.TYPICLUST])
def test_seeds_in_lock_step_walk_as_each_would_alone(strategy):
    task = a_task(strategy)
    found = run(task)
    assert found.ids.shape == (3, 3, 8) and found.probabilities.shape == (3, 3, 60, N_CLASSES)
    assert found.seconds.shape == (3, 3) and (found.seconds > 0).all()
    for place, seed in enumerate(task.seeds):
        ids, chances = one_seed(task, seed)
        assert np.array_equal(found.ids[place], torch.stack(ids).numpy())
        np.testing.assert_allclose(found.probabilities[place], torch.stack(chances).numpy(), atol=1e-5)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_the_same_seed_gives_the_same_ids_twice_and_all_differ(strategy):
    first, second = run(a_task(strategy, seeds=(1, 2))), run(a_task(strategy, seeds=(2,)))
    assert np.array_equal(first.ids[1], second.ids[0])
    assert np.array_equal(first.probabilities[1], second.probabilities[0])
    for ids in first.ids.reshape(2, -1):
        assert len(set(ids.tolist())) == 24 and 0 <= ids.min() <= ids.max() < 120


def test_a_seed_starts_alike_whatever_the_strategy():
    starts = [run(a_task(strategy, start=Start.RANDOM, rounds=1)).ids for strategy in (Strategy.MARGIN, Strategy.BALD)]
    assert np.array_equal(*starts) and not np.array_equal(starts[0][0], starts[0][1])


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_pool_of_constant_features_is_labelled_to_the_last_image(strategy):
    task = a_task(strategy, seeds=(1,), rounds=4, per_round=5)
    data = dataclasses.replace(task.data, pool=np.full((20, 24), 3, np.float32), labels=task.data.labels[:20])
    found = run(dataclasses.replace(task, data=data))
    assert sorted(found.ids.ravel().tolist()) == list(range(20)) and np.isfinite(found.probabilities).all()


def test_more_labels_than_images_are_refused_before_anything_is_done():
    done = []
    with pytest.raises(InputError, match="16 rounds ask for 128 labels, but there are 120 images"):
        run(a_task(rounds=16), on_round=done.append)
    assert not done


def test_rounds_are_told_as_they_end():
    done = []
    run(a_task(seeds=(1,)), on_round=done.append)
    assert done == [1, 2, 3]


def test_rounds_may_differ_in_size_and_nest():
    task = a_task()
    pool, labels = (
        Pool(features=torch.from_numpy(task.data.pool), n_classes=N_CLASSES),
        torch.from_numpy(task.data.labels),
    )
    fit = fit_of(HeadKind.PAPER, pool, labels, (1, 2))
    held = [found.held for found in walk(pool, labels, Strategy.DROPQUERY, Start.CENTROID, fit, [4, 4, 8, 16], (1, 2))]
    assert [ids.shape for ids in held] == [(2, 4), (2, 8), (2, 16), (2, 32)]
    assert all(torch.equal(held[-1][:, : ids.shape[1]], ids) for ids in held)


def test_propagated_labels_train_on_the_whole_pool():
    task = a_task(seeds=(1,), rounds=1)
    found = run(task, propagates=True)
    pool, held = Pool(features=torch.from_numpy(task.data.pool), n_classes=N_CLASSES), torch.from_numpy(found.ids[0, 0])
    spread = propagate(pool, held, torch.from_numpy(task.data.labels)[held])
    head, = fit_paper([pool.features], [spread.labels], N_CLASSES, generators=[generator_of(1, "head", "0")],
                      weights=[spread.weights])  # fmt: skip
    expected = head.probabilities(torch.from_numpy(task.data.evaluated)).numpy()
    np.testing.assert_allclose(found.probabilities[0, 0], expected, atol=1e-6)
    assert not np.allclose(run(task).probabilities, found.probabilities, atol=1e-2)


def test_curves_count_what_was_labelled():
    task = a_task(Strategy.MARGIN)
    found = run(task)
    right = mixture(n_pool=120, n_test=60, dim=24, n_classes=N_CLASSES).test_y
    document = curves_of(task, found, right)
    assert [line["seed"] for line in document["runs"]] == [1, 10, 100] and document["start"] == "random"
    areas = []
    for place, line in enumerate(document["runs"]):
        hits = [(chances.argmax(axis=1) == right).mean() for chances in found.probabilities[place]]
        assert line["labels"] == [8, 16, 24] and line["accuracy"] == pytest.approx(hits, abs=1e-6)
        assert line["selected"] == found.ids[place].tolist()
        assert line["seconds"] == pytest.approx(found.seconds[place].sum(), abs=1e-3)
        seen = [len(set(task.data.labels[found.ids[place, : n + 1].ravel()].tolist())) for n in range(3)]
        assert line["classes_found"] == seen
        areas.append((hits[0] + 2 * hits[1] + hits[2]) / 4)
    assert document["aulc"]["mean"] == pytest.approx(np.mean(areas), abs=1e-6)
    assert document["aulc"]["sd"] == pytest.approx(np.std(areas, ddof=1), abs=1e-6)
    alone = a_task(Strategy.MARGIN, seeds=(1,))
    assert curves_of(alone, run(alone), right)["aulc"]["sd"] is None
