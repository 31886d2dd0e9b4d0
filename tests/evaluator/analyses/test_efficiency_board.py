"""The board of label efficiency: paired, shared ranks, nobody ranked on other datasets than the rest."""

import numpy as np
import pytest

from evaluator.analyses.labels.efficiency_board import mean_area, rank_efficiency

SHARED = np.random.default_rng(0).normal(0, 0.05, 2_000)  # what all encoders have of the draws


def area(estimate: float, own: float = 0.002, seed: int = 1) -> tuple[float, np.ndarray]:
    return estimate, estimate + SHARED + np.random.default_rng(seed).normal(0, own, 2_000)


def test_encoders_that_differ_less_than_each_varies_are_told_apart_because_draws_are_shared() -> None:
    board = rank_efficiency({"a": {"x": area(0.50)}, "b": {"x": area(0.53, seed=2)}}, ["x"])
    assert [(row.id, row.rank, row.rank_low, row.rank_high, row.group) for row in board.rows] == [
        ("b", 1, 1, 1, 1), ("a", 2, 2, 2, 2),
    ]  # fmt: skip
    first = board.rows[0]
    assert first.low is not None and first.high is not None and first.high - first.low > 0.15
    assert board.resolvable == pytest.approx(1.96 * 0.002 * 2**0.5, rel=0.1)


def test_those_that_cannot_be_told_apart_share_ranks() -> None:
    board = rank_efficiency({"a": {"x": area(0.500, 0.02)}, "b": {"x": area(0.505, 0.02, 2)}}, ["x"])
    assert [(row.rank_low, row.rank_high, row.group) for row in board.rows] == [(1, 2, 1), (1, 2, 1)]
    same = rank_efficiency({"a": {"x": area(0.5)}, "b": {"x": area(0.5)}}, ["x"])
    assert [row.rank for row in same.rows] == [1, 1]


def test_the_mean_over_datasets_is_replicate_by_replicate_and_an_encoder_that_lacks_one_is_unranked() -> None:
    entries = {"a": {"x": area(0.4), "y": area(0.6, seed=2), "z": area(0.1)}, "b": {"x": area(0.9)}}
    board = rank_efficiency(entries, ["x", "y"])
    ranked, unranked = board.rows
    assert ranked.id == "a" and ranked.estimate == pytest.approx(0.5)
    expected = (entries["a"]["x"][1] + entries["a"]["y"][1]) / 2
    assert (ranked.low, ranked.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])))
    assert (unranked.id, unranked.rank, unranked.missing) == ("b", None, ("y",))
    assert unranked.unranked_reason == "It lacks 1 of 2 datasets: y."
    assert np.array_equal(mean_area([entries["a"]["x"]])[1], entries["a"]["x"][1])


def test_without_encoders_or_ranked_datasets_nobody_has_a_rank() -> None:
    assert rank_efficiency({}, ["x"]).rows == ()
    board = rank_efficiency({"a": {}}, [])
    assert [(row.rank, row.unranked_reason) for row in board.rows] == [(None, "No dataset is ranked.")]
