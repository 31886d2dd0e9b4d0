"""Query strategies compared: against scipy's tests, published tables, and definitions in loops."""

import itertools
import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from evaluator.active_learning.names import HeadKind, Start, Strategy
from evaluator.active_learning.tasks import Data, StrategyResult, StrategyTask
from evaluator.analyses.labels.strategies import comparison, pooled, run_document
from evaluator.errors import InputError
from evaluator.scoring import canonical_json
from evaluator.statistics.blocks import critical_difference, mean_of, mean_ranks, rank_groups
from tests.builders.curves import HEAD

SKILLS = {Strategy.DROPQUERY: 0.9, Strategy.RANDOM: 0.0, Strategy.MARGIN: 0.35, Strategy.ENTROPY: -0.02}
N_SEEDS, ROUNDS, PER_ROUND, IMAGES, CLASSES, POOL = 6, 5, 4, 80, 4, 90


def made_run(
    strategy: Strategy, skill: float, *, seed: int = 0, dataset: str = "cells", seeds: int = N_SEEDS
) -> tuple[dict[str, Any], StrategyTask, StrategyResult, np.ndarray]:  # fmt: skip
    """What is right depends on strategy, round and seed; what is shared by strategies, on dataset and seed."""
    shared, own = (
        np.random.default_rng(hash((dataset, seed)) % 2**32),
        np.random.default_rng(len(strategy) * 100 + seed),
    )
    right, labels = shared.integers(0, CLASSES, IMAGES), shared.integers(0, CLASSES, POOL)
    chances = shared.random((seeds, ROUNDS, IMAGES, CLASSES)) + 0.3 * own.random((seeds, ROUNDS, IMAGES, CLASSES))
    chances[..., np.arange(IMAGES), right] += (np.linspace(0, 0.6, ROUNDS) + 0.3 * skill)[:, None]
    ids = np.stack([own.permutation(POOL)[: ROUNDS * PER_ROUND] for _ in range(seeds)]).reshape(seeds, ROUNDS, -1)
    data = Data(pool=np.zeros((POOL, 2), np.float32), labels=labels, evaluated=np.zeros((IMAGES, 2), np.float32),
                n_classes=CLASSES)  # fmt: skip
    task = StrategyTask(data=data, strategy=strategy, start=Start.RANDOM, head=HeadKind.STANDARD, rounds=ROUNDS,
                        per_round=PER_ROUND, seeds=tuple(range(seeds)))  # fmt: skip
    result = StrategyResult(ids=ids, probabilities=chances.astype(np.float32), seconds=np.full((seeds, ROUNDS), 0.5))
    names = [f"image-{number}" for number in range(POOL)]
    return run_document(task, result, right, names, dataset=dataset, head=HEAD), task, result, right


def compared(dataset: str = "cells", encoder: str = "strong", seed: int = 0) -> dict[str, Any]:
    runs = [made_run(strategy, skill, seed=seed, dataset=dataset)[0] for strategy, skill in SKILLS.items()]
    return comparison(runs, encoder=encoder)


def near(value: float) -> Any:
    return pytest.approx(value, abs=3e-6)


def test_a_run_says_what_was_chosen_and_what_heads_made_of_it() -> None:
    document, task, result, right = made_run(Strategy.MARGIN, 0.3)
    assert document["labels"] == [4, 8, 12, 16, 20] and document["seeds"] == list(range(N_SEEDS))
    for seed, number in itertools.product(range(N_SEEDS), range(ROUNDS)):
        chosen = result.probabilities[seed, number].argmax(axis=1)
        recalls = [np.mean(chosen[right == each] == each) for each in range(CLASSES)]
        assert document["balanced_accuracy"][seed][number] == near(np.mean(recalls))
        assert document["accuracy"][seed][number] == near(np.mean(chosen == right))
        held = result.ids[seed, : number + 1].ravel()
        assert document["classes_found"][seed][number] == len(set(task.data.labels[held].tolist()))
        assert document["selected"][seed][number] == [f"image-{row}" for row in result.ids[seed, number]]
    areas = [np.trapezoid(scores, document["labels"]) / 16 for scores in document["balanced_accuracy"]]
    assert document["aulc"]["per_seed"] == pytest.approx(areas, abs=3e-6)
    assert (document["aulc"]["mean"], document["aulc"]["sd"]) == (near(np.mean(areas)), near(np.std(areas, ddof=1)))
    assert json.loads(canonical_json(document)) == document


def test_differences_from_random_are_paired_by_seed_and_adjusted_for_how_many_there_are() -> None:
    document = compared()
    rows = {row["strategy"]: row for row in document["strategies"]}
    assert list(rows) == ["random", "entropy", "margin", "dropquery"] and rows["random"]["over_random"] is None
    raw = {}
    for name in ("entropy", "margin", "dropquery"):
        found = rows[name]["over_random"]
        test = stats.ttest_rel(rows[name]["aulc"]["per_seed"], rows["random"]["aulc"]["per_seed"])
        low, high = test.confidence_interval()
        raw[name] = test.pvalue
        assert found["p_raw"] == near(test.pvalue)
        assert (found["low"], found["high"]) == (near(low), near(high))
    largest = 0.0
    for place, name in enumerate(sorted(raw, key=lambda each: raw[each])):
        largest = max(largest, raw[name] * (len(raw) - place))
        assert rows[name]["over_random"]["p"] == near(min(1.0, largest))
    assert raw["dropquery"] < 0.01 < raw["entropy"]


def test_the_penalty_matrix_counts_the_budgets_at_which_a_paired_test_says_better() -> None:
    document = compared()
    runs = [
        made_run(strategy, SKILLS[strategy])[0]
        for strategy in (Strategy(row["strategy"]) for row in document["strategies"])
    ]
    for i, j in itertools.product(range(4), repeat=2):
        wins = 0.0
        for place in range(ROUNDS):
            mine, theirs = ([seed[place] for seed in runs[each]["balanced_accuracy"]] for each in (i, j))
            if i != j and stats.ttest_rel(mine, theirs).pvalue < 0.05 and np.mean(mine) > np.mean(theirs):
                wins += 1 / ROUNDS
        assert document["penalty"][i][j] == near(wins)
    assert np.array(document["penalty"]).sum() > 0.5


def test_mean_ranks_are_over_seeds_and_groups_by_the_critical_difference() -> None:
    document = compared()
    areas = np.array([row["aulc"]["per_seed"] for row in document["strategies"]]).T
    expected = np.mean([stats.rankdata(-row) for row in areas], axis=0)
    ranks = [row["mean_rank"] for row in document["strategies"]]
    assert ranks == pytest.approx(expected, abs=3e-6)
    assert document["critical_difference"] == near(2.569032 * np.sqrt(4 * 5 / (6 * N_SEEDS)))
    best = min(ranks)
    for row in document["strategies"]:
        assert (row["group"] == 1) == (row["mean_rank"] <= best + document["critical_difference"])


@pytest.mark.parametrize(
    ("n_methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (8, 3.031), (10, 3.164)]
)
def test_critical_differences_are_the_published_ones(n_methods: int, q: float) -> None:
    """Demšar 2006, table 5 (a)."""
    expected = q * np.sqrt(n_methods * (n_methods + 1) / (6 * 14))
    assert critical_difference(n_methods, 14) == pytest.approx(expected, abs=2e-3)


def test_a_group_ends_where_its_leader_is_significantly_better() -> None:
    assert rank_groups(np.array([3.0, 1.0, 1.5, 2.2]), 1.0) == (2, 1, 1, 2)
    assert rank_groups(np.array([1.5, 1.5]), 0.0) == (1, 1)
    assert mean_ranks(np.array([[0.5, 0.5 + 1e-16, 0.1]])).tolist() == [1.5, 1.5, 3.0]


def test_a_difference_that_never_varies_has_no_spread_to_test() -> None:
    assert (mean_of(np.zeros(5)).p, mean_of(np.full(5, 0.1)).p) == (1.0, 0.0)


def test_label_savings_are_at_the_score_that_random_has_in_the_end() -> None:
    document = compared()
    rows = {row["strategy"]: row for row in document["strategies"]}
    curves = {name: [point["balanced_accuracy"]["estimate"] for point in row["curve"]] for name, row in rows.items()}
    target, labels = curves["random"][-1], [4, 8, 12, 16, 20]
    assert rows["random"]["label_saving"]["ratio"] <= 20 / 4 and rows["random"]["label_saving"]["target"] == near(
        target
    )
    fine = np.linspace(4, 20, 16_001)
    for name, curve in curves.items():
        reached = fine[np.interp(fine, labels, curve) >= target - 1e-7]
        saving = rows[name]["label_saving"]
        if len(reached):
            assert saving["ratio"] == pytest.approx(20 / reached[0], rel=1e-3)
        else:
            assert (saving["ratio"], saving["state"]) == (None, "not reached")
    assert rows["dropquery"]["label_saving"]["ratio"] > 1.2


def test_says_when_every_class_has_been_seen() -> None:
    run = made_run(Strategy.RANDOM, 0)[0]
    other = made_run(Strategy.MARGIN, 0)[0]
    run["classes_found"] = [[2, 3, 4, 4, 4]] * 3 + [[4, 4, 4, 4, 4]] * 3
    other["classes_found"] = [[2, 3, 3, 3, 3]] + [[4, 4, 4, 4, 4]] * 5
    found = [row["all_classes_by"] for row in comparison([run, other], encoder="strong")["strategies"]]
    assert found == [{"labels": 8.0, "share": 1.0}, {"labels": None, "share": near(5 / 6)}]


def test_pooled_is_a_mean_seed_by_seed_and_encoders_of_one_dataset_are_one_trial() -> None:
    parts = [compared("cells", "strong"), compared("cells", "weak", seed=1), compared("tissue", "strong", seed=2)]
    other_way_round = [row["aulc"] for row in reversed(parts[1]["strategies"])]
    for row, aulc in zip(parts[1]["strategies"], other_way_round, strict=True):
        row["aulc"] = aulc
    found = pooled(parts)
    rows = {row["strategy"]: row for row in found["strategies"]}
    per_seed = {
        name: np.mean([[row["aulc"]["per_seed"] for row in part["strategies"] if row["strategy"] == name][0]
                       for part in parts], axis=0) for name in rows
    }  # fmt: skip
    test = stats.ttest_rel(per_seed["dropquery"], per_seed["random"])
    assert rows["dropquery"]["over_random"]["p_raw"] == near(test.pvalue)
    assert rows["dropquery"]["over_random"]["estimate"] == near(np.mean(per_seed["dropquery"] - per_seed["random"]))
    areas = np.array([[row["aulc"]["mean"] for row in part["strategies"]] for part in parts])
    ranks = np.array([stats.rankdata(-row) for row in areas])
    expected = (ranks[:2].mean(axis=0) + ranks[2]) / 2
    assert [row["mean_rank"] for row in found["strategies"]] == pytest.approx(expected.tolist(), abs=3e-6)
    assert found["critical_difference"] == near(critical_difference(4, 2))
    assert found["penalty"] == np.mean([part["penalty"] for part in parts], axis=0).round(6).tolist()
    assert (found["dataset"], found["encoder"], found["datasets"], found["encoders"]) == (
        None, None, ["cells", "tissue"], ["strong", "weak"],
    )  # fmt: skip


def test_a_strategy_that_one_part_lacks_is_left_out_and_named() -> None:
    part = compared("tissue")
    rows = part["strategies"]
    fewer = part | {"strategies": rows[:-1], "penalty": [row[:-1] for row in part["penalty"][:-1]]}
    found = pooled([compared(), fewer])
    assert [row["strategy"] for row in found["strategies"]] == ["random", "entropy", "margin"]
    assert found["left_out"] == ["dropquery"] and np.shape(found["penalty"]) == (3, 3)


@pytest.mark.parametrize("key", ["dataset", "start", "head", "seeds", "labels"])
def test_runs_that_differ_in_more_than_the_strategy_are_not_compared(key: str) -> None:
    runs = [made_run(strategy, 0)[0] for strategy in (Strategy.RANDOM, Strategy.MARGIN)]
    runs[1][key] = "other"
    with pytest.raises(InputError, match="not_comparable") as raised:
        comparison(runs, encoder="strong")
    assert key in raised.value.problems[0].message


def test_a_comparison_needs_two_seeds_two_names_and_something_in_common() -> None:
    with pytest.raises(InputError, match="too_few_seeds"):
        comparison([made_run(Strategy.RANDOM, 0, seeds=1)[0]], encoder="strong")
    twice = [made_run(Strategy.RANDOM, 0)[0]] * 2
    for runs in (twice, []):
        with pytest.raises(InputError, match="not_comparable"):
            comparison(runs, encoder="strong")
    with pytest.raises(InputError, match="not_comparable"):
        pooled([compared(), compared() | {"start": "centroid"}])


def test_without_random_nothing_is_compared_with_it() -> None:
    runs = [made_run(strategy, 0)[0] for strategy in (Strategy.MARGIN, Strategy.ENTROPY)]
    document = comparison(runs, encoder="strong")
    assert [(row["over_random"], row["label_saving"]) for row in document["strategies"]] == [(None, None)] * 2
    assert [row["label_saving"] for row in pooled([document])["strategies"]] == [{"ratio": None}] * 2
