"""Clustered Wilson intervals against their definition written as loops, and against what they must reduce to."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from evaluator.statistics.wilson import Z95, clustered_wilson, wilson
from tests.builders.coverage import cells, coverage

SOURCES = st.lists(st.integers(1, 11).flatmap(lambda m: st.tuples(st.integers(0, m), st.just(m))), min_size=1)


def slow_interval(sources: list[tuple[int, int]]) -> tuple[float, float, float]:
    """(p, low, high), term by term as architecture and docs/decisions.md define it."""
    n = sum(m for _, m in sources)
    p = sum(s for s, _ in sources) / n
    groups = len(sources)
    variance = 0.0
    if groups > 1:
        for s, m in sources:
            variance += (s - p * m) ** 2
        variance *= groups / (groups - 1) / n**2
    n_eff = groups if variance < 1e-15 else min(n, p * (1 - p) / variance)
    centre = (p + Z95**2 / (2 * n_eff)) / (1 + Z95**2 / n_eff)
    half = Z95 * math.sqrt(p * (1 - p) / n_eff + Z95**2 / (4 * n_eff**2)) / (1 + Z95**2 / n_eff)
    return p, max(0.0, centre - half), min(1.0, centre + half)


def interval(sources: list[tuple[int, int]]) -> tuple[float, float, float]:
    table = np.array(sources, dtype=float)
    found = clustered_wilson(table[:, [0]], table[:, [1]])
    assert found.estimate is not None and found.low is not None and found.high is not None
    return found.estimate, found.low, found.high


@settings(deadline=None)
@given(SOURCES)
def test_equals_the_definition(sources: list[tuple[int, int]]) -> None:
    assert interval(sources) == pytest.approx(slow_interval(sources), abs=1e-12)


@settings(deadline=None)
@given(SOURCES, st.randoms())
def test_order_of_sources_does_not_matter(sources: list[tuple[int, int]], random: Random) -> None:
    shuffled = random.sample(sources, len(sources))
    assert interval(shuffled) == pytest.approx(interval(sources), abs=1e-12)


@settings(deadline=None)
@given(SOURCES)
def test_interval_holds_the_estimate_and_stays_a_fraction(sources: list[tuple[int, int]]) -> None:
    estimate, low, high = interval(sources)
    assert 0 <= low <= estimate + 1e-12 and estimate - 1e-12 <= high <= 1


@pytest.mark.parametrize(("right", "n"), [(0, 7), (3, 10), (50, 100), (12, 12)])
def test_plain_wilson_is_scipys(right: int, n: int) -> None:
    theirs = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson(right / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_one_question_per_source_loses_one_trial_to_the_unknown_mean() -> None:
    sources = [(1, 1)] * 30 + [(0, 1)] * 10
    assert interval(sources)[1:] == pytest.approx(wilson(0.75, 39))


def test_asking_a_source_five_times_over_adds_nothing_when_its_answers_agree() -> None:
    once = [(1, 1)] * 30 + [(0, 1)] * 10
    five_times = [(5 * s, 5 * m) for s, m in once]
    assert interval(five_times) == pytest.approx(interval(once))


@pytest.mark.parametrize("p", [0, 1])
def test_all_right_or_all_wrong_counts_sources_not_questions(p: int) -> None:
    assert interval([(9 * p, 9)] * 20)[1:] == pytest.approx(wilson(p, 20))


def test_a_single_source_is_one_trial() -> None:
    assert interval([(30, 60)])[1:] == pytest.approx(wilson(0.5, 1))


def test_nothing_asked_is_none_and_not_zero() -> None:
    found = clustered_wilson(np.zeros((4, 1)), np.zeros((4, 1)))
    assert (found.estimate, found.low, found.high, found.n_questions, found.n_sources) == (None, None, None, 0, 0)


def test_sources_without_a_question_do_not_count() -> None:
    found = clustered_wilson(np.array([[1.0], [0.0], [0.0]]), np.array([[2.0], [1.0], [0.0]]))
    assert found.n_sources == 2 and found.too_few
    assert (found.low, found.high) == pytest.approx(slow_interval([(1, 2), (0, 1)])[1:])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=12), st.floats(0.1, 1))
def test_a_mean_of_tasks_equals_its_linearised_definition(extra: list[tuple[int, int]], vote: float) -> None:
    """Two tasks; each source answers `min` of `max` questions of task 0 and one of task 1, right when even."""
    count = np.array([[max(pair) + 1, 1] for pair in extra], dtype=float)
    correct = np.array([[min(pair), sum(pair) % 2] for pair in extra], dtype=float)
    weight = [1 / (1 + vote), vote / (1 + vote)]
    accuracy = [correct[:, t].sum() / count[:, t].sum() for t in (0, 1)]
    p = weight[0] * accuracy[0] + weight[1] * accuracy[1]
    residuals = [
        sum(weight[t] * (correct[g, t] - accuracy[t] * count[g, t]) / count[:, t].sum() for t in (0, 1))
        for g in range(len(extra))
    ]
    variance = len(extra) / (len(extra) - 1) * sum(r * r for r in residuals)
    n_eff = len(extra) if variance < 1e-15 else min(count.sum(), p * (1 - p) / variance)
    found = clustered_wilson(correct, count, np.array([1.0, vote]))
    assert found.estimate == pytest.approx(p)
    assert (found.low, found.high) == pytest.approx(wilson(p, n_eff), abs=1e-9)


def test_a_task_nobody_asked_drops_out_of_the_mean() -> None:
    one = np.array([[1.0], [2.0], [0.0]]), np.array([[2.0], [2.0], [2.0]])
    two = tuple(np.hstack([column, np.zeros((3, 1))]) for column in one)
    assert clustered_wilson(*two) == clustered_wilson(*one)


def test_coverage_in_short() -> None:
    """The long form is tests/faults/test_coverage.py."""
    short = {cell: coverage(cell, runs=500, seed=7) for cell in cells()}
    noise = 0.02  # 1.5 standard errors of a share of .90 seen in 500 runs; the long form grants none
    assert [(cell, found) for cell, found in short.items() if found < cell.least_coverage - noise] == []
