"""First labels: what each start chooses on a pool whose groups are plain to see."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from evaluator.active_learning.kmeans import kmeans, nearest_members
from evaluator.active_learning.names import Start
from evaluator.active_learning.pool import Pool, pool_generator
from evaluator.active_learning.starts import choose_start
from tests.builders.pools import blobs, seeded
from tests.evaluator.active_learning import slow


@pytest.mark.parametrize("start", [Start.CENTROID, Start.TYPICLUST, Start.PROBCOVER])
def test_one_of_each_plain_group_comes_first(start: Start) -> None:
    groups = torch.arange(90) % 6
    features = 9 * functional.one_hot(groups, 6) + torch.rand(90, 6, generator=seeded(1))
    found = {tuple(sorted(groups[choose_start(start, Pool(features=features, n_classes=6), 6, generator=seeded(seed))]
                          .tolist())) for seed in range(5)}  # fmt: skip
    # k-means++ may seed a group twice, so not every seed of the first two finds all six
    assert tuple(range(6)) in found


def test_random_is_uniform() -> None:
    pool, generator = Pool(features=torch.zeros(5, 2), n_classes=2), seeded(0)
    drawn = torch.cat([choose_start(Start.RANDOM, pool, 2, generator=generator) for _ in range(3_000)])
    assert np.bincount(drawn.numpy(), minlength=5) / 3_000 == pytest.approx(0.4, abs=0.04)


def test_centroid_takes_the_member_nearest_to_each_centre_of_unit_features() -> None:
    features, _ = blobs(80, 3, 5)
    found = choose_start(Start.CENTROID, Pool(features=features, n_classes=5), 7, generator=seeded(3))
    exact = torch.from_numpy(slow.unit(features.numpy())).float()
    assert torch.equal(found, nearest_members(exact, kmeans(exact, 7, generator=seeded(3))))


@pytest.mark.parametrize("seed", range(3))
def test_typiclust_and_probcover_make_their_own_first_query(seed: int) -> None:
    features, _ = blobs(70, 3, 4, seed=seed)
    pool, exact = Pool(features=features, n_classes=4), slow.unit(features.numpy())
    clusters = kmeans(pool.directions, 9, generator=seeded(seed)).assignment.tolist()
    found = choose_start(Start.TYPICLUST, pool, 9, generator=seeded(seed))
    assert found.tolist() == slow.typiclust(exact, clusters, [], 9)
    classes = kmeans(pool.directions, 4, generator=pool_generator()).assignment.tolist()
    covering = slow.probcover(exact, classes, [], 9)
    assert choose_start(Start.PROBCOVER, pool, 9, generator=seeded(seed))[: len(covering)].tolist() == covering
