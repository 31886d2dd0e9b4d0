"""Paired differences: p values against loops, and intervals against simulated truth."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from evaluator.statistics.paired import (
    Flips,
    expanded_tail,
    flip_ends,
    holm,
    paired_ends,
    permutation_p,
    sign_flips,
    swapped_sums,
)
from tests.builders.paired_coverage import (
    Setting,
    Sizes,
    coverage,
    hard_settings,
    positive_parts,
    unclustered_coverage,
)


def flips(share: float, variance: float, n_differing: int) -> Flips:
    return Flips(share=np.array([share]), variance=np.array([variance]), n_differing=np.array([n_differing]))


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=12))
def test_holm_steps_down(p: list[float]) -> None:
    wanted, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        wanted[place] = largest
    assert holm(np.array(p)).tolist() == pytest.approx(wanted)


def test_holm_of_nothing_is_nothing() -> None:
    assert holm(np.empty(0)).shape == (0,)


def test_p_counts_every_swap_of_few_sources() -> None:
    """All 2^8 swaps, as scipy has them, against ours drawn at random."""
    rng = np.random.default_rng(0)
    differences = rng.integers(-3, 6, 8).astype(float)
    exact = permutation_test(
        (differences, np.zeros(8)), lambda a, b, axis: (a - b).sum(axis=axis), permutation_type="samples",
        n_resamples=np.inf,
    ).pvalue  # fmt: skip
    swapped = swapped_sums(differences[:, None], seed=1)
    assert permutation_p(differences.sum(keepdims=True), swapped)[0] == pytest.approx(exact, abs=0.015)


def test_p_is_never_zero_and_one_where_nothing_differs() -> None:
    columns = np.stack([np.ones(30), np.zeros(30)], axis=1)
    p = permutation_p(columns.sum(axis=0), swapped_sums(columns, seed=3))
    assert p.tolist() == [1e-4, 1.0]


def test_sums_in_another_order_are_as_extreme() -> None:
    """0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in the last bit."""
    observed = np.array([0.1 + 0.2 + 0.3])
    assert permutation_p(observed, np.array([[0.3 + 0.2 + 0.1]]))[0] == 1


def test_swaps_are_fair_and_the_same_for_every_task_of_a_seed() -> None:
    signs = np.concatenate(list(sign_flips(40, seed=2)))
    assert signs.shape == (9_999, 40) and set(np.unique(signs)) == {-1.0, 1.0}
    assert np.abs(signs.mean(axis=0)).max() < 4 / np.sqrt(9_999)
    assert (signs == np.concatenate(list(sign_flips(40, seed=2)))).all()
    assert (signs[:500] != np.concatenate(list(sign_flips(40, seed=3, permutations=500)))).any()


def test_tails_shrink_where_sources_are_few() -> None:
    assert expanded_tail(10_000) == pytest.approx(0.025, abs=1e-4)
    assert expanded_tail(15) == pytest.approx(0.0132, abs=1e-4)
    tails = [expanded_tail(n) for n in (2, 5, 20, 100)]
    assert tails == sorted(tails) and expanded_tail(1) == 0.025


@pytest.mark.parametrize("n_sources", [1, 2, 30, 200])
def test_no_change_seen_is_bounded_by_what_so_few_sources_can_say(n_sources: int) -> None:
    """About 3.7 / n, the exact bound of n trials without an event; the interval of a bootstrap would be a point."""
    low, high = paired_ends(np.zeros((1, 50)), flips(0, 0, 0), flips(0, 0, 0), 6 * n_sources, n_sources)
    assert high[0] == -low[0] <= 1
    if n_sources >= 30:
        assert 3.6 / n_sources < high[0] < 4.3 / n_sources


def test_what_changed_everywhere_is_bounded_too() -> None:
    low, high = flip_ends(flips(0, 0, 0), flips(1, 0, 40), 240, 40)
    assert low[0] == -1 and -1 < high[0] < -0.75


@settings(deadline=None)
@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.01), st.integers(0, 50))
def test_the_interval_holds_the_difference_and_turns_round(
    one: float, other: float, variance: float, differing: int
) -> None:
    gained, lost = flips(one, variance, differing), flips(other, variance / 2, 50 - differing)
    low, high = flip_ends(gained, lost, 300, 50)
    assert -1 <= low[0] <= one - other + 1e-12 and one - other - 1e-12 <= high[0] <= 1
    turned_low, turned_high = flip_ends(lost, gained, 300, 50)
    assert (turned_low[0], turned_high[0]) == pytest.approx((-high[0], -low[0]), abs=1e-12)


def test_coverage_of_the_true_difference_in_short() -> None:
    """The long form, 2,000 runs a setting and no allowance, is tests/faults/test_paired_coverage.py."""
    short = {setting: coverage(setting, runs=400, seed=5) for setting in hard_settings()}
    noise = 0.03  # 2.4 standard errors of a share of .93 seen in 400 runs, as fits the lowest of so many settings
    assert {setting: found for setting, found in short.items() if found < 0.93 - noise} == {}
    assert np.mean(list(short.values())) >= 0.95


@pytest.mark.parametrize("n_sources", [30, 60, 200])
def test_intervals_that_take_questions_for_independent_are_too_narrow(n_sources: int) -> None:
    setting = Setting(n_sources=n_sources, discordance=0.1, balance=0.5, correlation=0.5, sizes=Sizes.MILD)
    assert unclustered_coverage(setting, runs=400, seed=5) < 0.8
    assert coverage(setting, runs=400, seed=5) > 0.9


@pytest.mark.parametrize(("n_sources", "correlation"), list(product([30, 200], [0.0, 0.5])))
def test_the_positive_part_of_no_change_is_what_swaps_expect(n_sources: int, correlation: float) -> None:
    """Within three standard errors of the simulation; it is far from the 0 that a reader might expect."""
    setting = Setting(n_sources=n_sources, discordance=0.1, balance=0, correlation=correlation, sizes=Sizes.MILD)
    observed, expected = positive_parts(setting, tasks=5, runs=400, swaps=300, seed=8)
    difference = observed - expected
    assert abs(difference.mean()) <= 3 * difference.std(ddof=1) / np.sqrt(len(difference))
    assert observed.mean() > 20 * abs(difference.mean()) or observed.mean() > 3 * observed.std() / np.sqrt(400)
