"""k-means: the plain definition on small sets, and exactly k groups whatever the points."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evaluator.active_learning.kmeans import kmeans, nearest_members, spread_seeds
from tests.builders.pools import blobs, seeded
from tests.evaluator.active_learning import slow


@st.composite
def point_sets(draw: st.DrawFn) -> tuple[Tensor, int]:
    """Up to 30 points of few distinct places, some far from 0, and a k."""
    n, d, places = draw(st.integers(1, 30)), draw(st.integers(1, 3)), draw(st.integers(1, 5))
    grid = torch.randint(places, (n, d), generator=seeded(draw(st.integers(0, 2**32)))).float()
    return grid * draw(st.sampled_from([1, 1e-3])) + draw(st.sampled_from([0, 1e4])), draw(st.integers(1, n))


@pytest.mark.parametrize("seed", range(4))
def test_it_is_lloyds_algorithm_from_k_means_plus_plus_seeds(seed: int) -> None:
    points, _ = blobs(80, 3, 5, seed=seed)
    exact = points.double().numpy()
    draws = torch.rand(5, generator=seeded(seed), dtype=torch.float64).tolist()
    seeds = slow.spread(80, 5, lambda i, j: slow.squared(exact[i], exact[j]), draws)
    groups, centres = slow.lloyd(exact, seeds)
    found = kmeans(points, 5, generator=seeded(seed))
    assert found.assignment.tolist() == groups
    assert found.centroids.numpy() == pytest.approx(centres, abs=1e-5)
    nearest = [min((i for i in range(80) if groups[i] == c), key=lambda i, c=c: slow.squared(exact[i], centres[c]))
               for c in range(5)]  # fmt: skip
    assert nearest_members(points, found).tolist() == nearest


@settings(deadline=None, max_examples=150)
@given(point_sets(), st.integers(0, 2**32))
def test_there_are_exactly_k_groups_whatever_the_points(case: tuple[Tensor, int], seed: int) -> None:
    points, k = case
    found = kmeans(points, k, generator=seeded(seed))
    again = kmeans(points, k, generator=seeded(seed))
    assert sorted(set(found.assignment.tolist())) == list(range(k)) and found.centroids.shape == (k, points.shape[1])
    assert found.sizes.sum() == len(points)
    members = nearest_members(points, found)
    assert found.assignment[members].tolist() == list(range(k))
    assert torch.equal(found.assignment, again.assignment) and torch.equal(found.centroids, again.centroids)
    if len(torch.unique(points, dim=0)) >= k:
        own = (points - found.centroids[found.assignment]).square().sum(dim=1)
        every = torch.cdist(points.double(), found.centroids.double()).square()
        slack = 1e-5 * (points - points.mean(dim=0)).square().sum() + 1e-12 + 1e-7 * points.square().max()
        assert (own <= every.amin(dim=1) + slack).all()


def test_as_many_groups_as_points_are_the_points() -> None:
    points, _ = blobs(30)
    found = kmeans(points, 30, generator=seeded(1))
    assert sorted(found.assignment.tolist()) == list(range(30))
    assert found.centroids[found.assignment].numpy() == pytest.approx(points.numpy(), abs=1e-5)


def test_512_points_per_cluster_are_trained_on_and_all_assigned() -> None:
    points, _ = blobs(3_000, 2, 2, seed=3, apart=6)
    found = kmeans(points, 2, generator=seeded(3))
    assert torch.equal(found.assignment, torch.cdist(points, found.centroids).argmin(dim=1))
    drawn = torch.randperm(3_000, generator=seeded(3))[: 2 * 512]
    for rows, same in ((drawn, True), (torch.arange(3_000), False)):
        means = torch.stack([points[rows][found.assignment[rows] == cluster].mean(dim=0) for cluster in (0, 1)])
        assert torch.allclose(means, found.centroids, atol=1e-4) == same


def test_seeds_are_distinct_where_all_points_are_equal() -> None:
    assert sorted(spread_seeds(6, 6, lambda _: torch.zeros(6), generator=seeded(0)).tolist()) == list(range(6))


def test_seeds_are_drawn_by_squared_distance() -> None:
    """Three places on a line at 0, 1 and 3: after 0 the next is 1 in one and 3 in nine of ten draws."""
    line = torch.tensor([0.0, 1, 3])
    generator = seeded(5)
    drawn = [spread_seeds(3, 2, lambda to: (line - line[to]).square(), generator=generator).tolist()
             for _ in range(6_000)]  # fmt: skip
    first = np.bincount([a for a, _ in drawn], minlength=3) / 6_000
    after_zero = [b for a, b in drawn if a == 0]
    assert first == pytest.approx(1 / 3, abs=0.03)
    assert after_zero.count(2) / len(after_zero) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("k", [0, 5])
def test_k_beyond_the_points_is_a_bug(k: int) -> None:
    with pytest.raises(ValueError, match="clusters of 4 points"):
        kmeans(torch.zeros(4, 2), k, generator=seeded(0))
