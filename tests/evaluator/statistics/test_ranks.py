"""Rank intervals against a slow definition, and their simultaneous coverage."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.statistics.ranks import rank


def slow_ranks(scores: list[float], replicates: np.ndarray) -> list[tuple[int, int]]:
    """Every pair by itself: t = |difference| / its bootstrap error, against the 95 % quantile of the largest t."""
    n = len(scores)
    error, largest = {}, np.zeros(len(replicates))
    for i in range(n):
        for j in range(n):
            drawn = replicates[:, i] - replicates[:, j]
            error[i, j] = drawn.std(ddof=1)
            if error[i, j] > 1e-9:
                largest = np.maximum(largest, abs(drawn - (scores[i] - scores[j])) / error[i, j])
    critical = np.quantile(largest, 0.95)
    better = [[scores[i] - scores[j] > max(critical * error[i, j], 1e-9) for j in range(n)] for i in range(n)]
    return [
        (1 + sum(better[j][i] for j in range(n)), n - sum(better[i][j] for j in range(n))) for i in range(n)
    ]  # fmt: skip


def simulated(
    seed: int, truth: list[float], n_items: int = 400, n_replicates: int = 500
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of entries on the same items, and replicates drawn with the same weights for all of them."""
    rng = np.random.default_rng(seed)
    right = (rng.random((n_items, 1)) * 0.5 + rng.random((n_items, len(truth))) * 0.5) < np.array(truth)
    weights = rng.multinomial(n_items, np.full(n_items, 1 / n_items), n_replicates)
    return right.mean(axis=0), weights @ right / n_items


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.floats(0.2, 0.8), min_size=1, max_size=8))
def test_equals_the_definition(seed: int, truth: list[float]) -> None:
    scores, replicates = simulated(seed, truth, n_items=60, n_replicates=80)
    found = rank(scores, replicates)
    assert list(zip(found.rank_low, found.rank_high, strict=True)) == slow_ranks(list(scores), replicates)


@given(st.integers(0, 10_000), st.randoms())
@settings(max_examples=20, deadline=None)
def test_order_of_entries_does_not_matter(seed: int, random: Random) -> None:
    scores, replicates = simulated(seed, [0.3, 0.4, 0.5, 0.52, 0.7], n_items=80, n_replicates=80)
    order = random.sample(range(5), 5)
    found, moved = rank(scores, replicates), rank(scores[order], replicates[:, order])
    assert [found.rank_low[i] for i in order] == list(moved.rank_low)
    assert [found.rank_high[i] for i in order] == list(moved.rank_high)


def test_clear_differences_give_an_order_and_a_group_each() -> None:
    found = rank(*simulated(1, [0.8, 0.3, 0.55]))
    assert (found.rank_low, found.rank_high, found.group) == ((1, 3, 2), (1, 3, 2), (1, 3, 2))


def test_identical_entries_share_their_ranks() -> None:
    scores, replicates = simulated(2, [0.7, 0.3])
    found = rank(scores[[0, 0, 1]], replicates[:, [0, 0, 1]])
    assert (found.rank_low, found.rank_high, found.group) == ((1, 1, 3), (2, 2, 3), (1, 1, 2))


def test_a_group_ends_where_an_entry_is_significantly_below_its_leader() -> None:
    """b is no worse than a, c no worse than b, but c is worse than a: the group of a ends before c."""
    rng = np.random.default_rng(0)
    scores = np.array([0.6, 0.5, 0.4])
    replicates = scores + rng.normal(0, 0.04, (2_000, 3))
    found = rank(scores, replicates)
    assert found.group == (1, 1, 2)
    assert (found.rank_low, found.rank_high) == ((1, 1, 2), (2, 3, 3))
    assert found.resolvable == pytest.approx(0.04 * 2**0.5 * 2.36, rel=0.05)  # 2.36: max-|t| of three pairs


def test_entries_that_never_vary_differ_as_their_scores_do() -> None:
    found = rank(np.array([1.0, 0.0, 1.0]), np.tile([1.0, 0.0, 1.0], (50, 1)))
    assert (found.rank_low, found.rank_high) == ((1, 3, 1), (2, 3, 2))


def test_no_entry_and_one_entry() -> None:
    assert rank(np.empty(0), np.empty((50, 0))).rank_low == ()
    one = rank(np.array([0.5]), np.full((50, 1), 0.5))
    assert (one.rank_low, one.rank_high, one.group, one.resolvable) == ((1,), (1,), (1,), None)


def test_all_rank_intervals_hold_the_true_ranks_at_once_as_often_as_promised() -> None:
    truth = [0.45, 0.48, 0.5, 0.53, 0.6]  # best last
    true_rank = [5, 4, 3, 2, 1]
    held, runs = 0, 150
    for seed in range(runs):
        found = rank(*simulated(seed, truth, n_replicates=300))
        held += all(
            low <= place <= high for low, place, high in zip(found.rank_low, true_rank, found.rank_high, strict=True)
        )
    assert held >= 0.92 * runs  # 95 % less 1.7 standard errors


def test_equal_entries_are_told_apart_by_chance_in_at_most_one_of_twenty() -> None:
    runs = 200
    wrong = sum(max(rank(*simulated(seed, [0.5] * 6, n_replicates=300)).rank_low) > 1 for seed in range(runs))
    assert wrong <= 0.05 * runs + 6  # two standard errors
