"""Labels spread over the pool: the definition in loops, and pools in which nothing can spread."""

import math

import numpy as np
import pytest
import torch

from evaluator.active_learning.pool import Pool
from evaluator.active_learning.propagation import propagate
from tests.builders.pools import blobs
from tests.evaluator.active_learning import slow


@pytest.mark.parametrize(("neighbours", "iterations"), [(3, 1), (3, 100), (500, 100)])
def test_it_is_the_iteration_by_its_definition(neighbours: int, iterations: int) -> None:
    features, labels = blobs(24, 3, 3, seed=2)
    given = {i: int(labels[i]) for i in (0, 5, 6, 11)}
    labelled = torch.tensor(list(given))
    found = propagate(Pool(features=features, n_classes=3), labelled, labels[labelled], neighbours=neighbours,
                      iterations=iterations)  # fmt: skip
    spread = slow.propagated(slow.unit(features.numpy()), 3, given, min(neighbours, 23), min(iterations, 40))
    for i, row in enumerate(spread):
        share = row / row.sum() if row.sum() > 0 else np.full(3, 1 / 3)
        assert found.weights[i].item() == pytest.approx(1 - slow.entropy(share) / math.log(3), abs=1e-5)
        assert found.labels[i].item() == int(np.argmax(row))


def test_near_groups_take_the_label_of_their_one_labelled_member() -> None:
    groups = torch.arange(40) % 2
    features = torch.eye(2)[groups] + 0.1 * torch.rand(40, 2)
    found = propagate(Pool(features=features, n_classes=2), torch.tensor([0, 1]), torch.tensor([0, 1]), neighbours=8)
    assert torch.equal(found.labels, groups)
    assert found.weights[:2].tolist() == [1, 1] and found.weights.dtype == torch.float32


@pytest.mark.parametrize(("n", "n_classes"), [(1, 3), (2, 1), (6, 3)])
def test_a_pool_of_one_image_or_one_class_or_equal_images_has_an_answer(n: int, n_classes: int) -> None:
    pool = Pool(features=torch.ones(n, 2), n_classes=n_classes)
    found = propagate(pool, torch.tensor([0]), torch.tensor([n_classes - 1]))
    assert found.labels[0] == n_classes - 1 and found.weights[0] == 1
    assert torch.isfinite(found.weights).all() and (found.labels == n_classes - 1).all()


def test_where_nothing_arrives_the_weight_is_none() -> None:
    """Opposite directions have a weight of ((1 − 1)/2) = 0."""
    pool = Pool(features=torch.tensor([[1.0], [-1.0]]), n_classes=2)
    assert propagate(pool, torch.tensor([0]), torch.tensor([1])).weights.tolist() == [1, 0]
