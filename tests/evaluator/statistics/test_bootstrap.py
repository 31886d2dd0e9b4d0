"""Draws of whole sources: what every replicate keeps, and the distribution they come from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.statistics.bootstrap import bootstrap_sums, percentile_interval, seed_of, source_weights

STRATA = st.lists(st.integers(0, 3), min_size=1, max_size=30).map(np.array)


def all_weights(stratum: np.ndarray, seed: int, replicates: int = 300) -> np.ndarray:
    return np.concatenate(list(source_weights(stratum, seed, replicates)))


@settings(deadline=None)
@given(STRATA, st.integers(0, 2**64 - 1))
def test_every_replicate_draws_as_many_sources_of_a_stratum_as_it_has(stratum: np.ndarray, seed: int) -> None:
    weights = all_weights(stratum, seed, 5)
    for code in np.unique(stratum):
        assert (weights[:, stratum == code].sum(axis=1) == (stratum == code).sum()).all()
    assert (weights >= 0).all() and (weights == np.round(weights)).all()


def test_draws_are_multinomial() -> None:
    """Mean 1, variance 1 − 1/k and covariance −1/k within a stratum of k; independent between strata."""
    stratum = np.repeat([0, 1], [4, 6])
    found = np.cov(all_weights(stratum, 3, 40_000).T)
    expected = np.zeros((10, 10))
    for members in (slice(0, 4), slice(4, 10)):
        k = members.stop - members.start
        expected[members, members] = np.eye(k) - 1 / k
    assert found == pytest.approx(expected, abs=0.03)


def test_the_same_split_draws_the_same_weights_for_every_entry() -> None:
    stratum = np.array([0, 1, 1, 0, 2, 1])
    seed = seed_of("abc", "test")
    assert (all_weights(stratum, seed) == all_weights(stratum, seed)).all()
    assert seed_of("abc", "dev") != seed != seed_of("abd", "test")


def test_sums_are_those_of_the_drawn_sources() -> None:
    rng = np.random.default_rng(0)
    stratum, columns = rng.integers(0, 3, 12), rng.integers(0, 9, (12, 4)).astype(float)
    slow = [
        [sum(weight * columns[g, c] for g, weight in enumerate(weights)) for c in range(4)]
        for weights in all_weights(stratum, 5)
    ]
    assert bootstrap_sums(columns, stratum, 5, 300) == pytest.approx(np.array(slow))


def test_percentile_interval_leaves_out_replicates_in_which_nothing_was_drawn() -> None:
    values = np.linspace(0, 1, 1_001)
    assert percentile_interval(values) == pytest.approx((0.025, 0.975))
    assert percentile_interval(np.append(values, np.nan)) == pytest.approx((0.025, 0.975))


def test_bootstrap_error_is_the_clustered_error() -> None:
    """Resampling questions one by one would find less than half of it here."""
    rng = np.random.default_rng(2)
    own = rng.beta(0.6, 0.4, 200)
    columns = np.stack([rng.binomial(10, own), np.full(200, 10)], axis=1).astype(float)
    drawn = bootstrap_sums(columns, np.zeros(200, dtype=int), 1)
    error = (drawn[:, 0] / drawn[:, 1]).std()
    assert error == pytest.approx(np.std(columns[:, 0] / 10) / np.sqrt(200), rel=0.05)
