"""Sweeps: against their definition by loops; the rules that choose α; the ensemble; what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evaluator.analyses.forgetting import analysis_head
from evaluator.analyses.interpolation import score_sweep
from evaluator.analyses.selection import best_macro, within_one_point
from evaluator.analyses.splits import split_key
from evaluator.analyses.target import Target
from evaluator.errors import InputError
from evaluator.release.schema import Split
from evaluator.scoring import canonical_json, score
from tests.builders.sweeps import Swept, make_sweep
from tests.builders.tables import Tables, answer_table, make_tables
from tests.evaluator.analyses.slow import (
    Answer,
    accuracy,
    answers_of,
    averaged,
    by_task,
    inside_target,
    luck_of,
    paired_interval,
    votes_of,
)

ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
TARGET: Target = {"modality": ("light",)}
RECORD: dict[str, Any] = {"alphas": list(ALPHAS), "broken": [], "merge": {"equal_tensors": 3}, "logit_scale": None}


def make_splits(seed: int = 0, items: int = 60) -> dict[Split, Tables]:
    return {
        split: make_tables(
            items=items, sources=24, seed=seed + place, variants=(1,), kinds=("modality", "stain", "classification")
        )
        for place, split in enumerate((Split.TEST, Split.DEV))
    }


def document(
    tables: dict[Split, Tables], sweep: pa.Table, target: Target | None = TARGET, *,
    select_on: Split | None = Split.DEV, **facts: Any,
) -> dict[str, Any]:  # fmt: skip
    splits = {split: split_key(own.info, split, own.questions, own.key) for split, own in tables.items()}
    return score_sweep(
        splits, sweep, RECORD | facts, target, reported=Split.TEST, select_on=select_on,
        head=analysis_head(tables[Split.TEST].info, Split.TEST, key_revision=1),
    )  # fmt: skip


def side_tasks(answers: list[Answer], side: str) -> dict[str, list[Answer]]:
    inside = inside_target(dict(TARGET))
    return averaged(by_task(answers, inside if side == "inside" else lambda item: not inside(item)))


def test_equals_the_definition() -> None:
    tables = make_splits()
    swept = make_sweep(tables, ALPHAS)
    found = document(tables, swept.table)
    test = tables[Split.TEST]
    answers, luck = answers_of(test, list(swept.chosen[Split.TEST].values()), 1), luck_of(test, swaps=False)
    tasks = by_task(answers)
    coarse = {task: own for task, own in tasks.items() if task.startswith("coarse-")}
    fine = {task: own for task, own in tasks.items() if not task.startswith("coarse-")}
    light = by_task(answers, inside_target({"modality": ("light",)}))
    for place, alpha in enumerate(ALPHAS):
        at = found["alphas"][place]
        assert at["alpha"] == alpha
        wanted = {task: {task: own} for task, own in tasks.items()}
        shown = {row["task"]: row["accuracy"] | {"delta": row["delta"]} for row in at["tasks"]}
        wanted |= {"macro": tasks, "coarse": coarse, "fine": fine}
        shown |= {name: at["aggregates"][name] for name in ("macro", "coarse", "fine")}
        wanted |= {side: side_tasks(answers, side) for side in ("inside", "outside")}
        shown |= {side: at[side] for side in ("inside", "outside")}
        facet = next(row for row in at["facets"] if (row["facet"], row["value"]) == ("modality", "light"))
        wanted["light fine"] = {task: own for task, own in light.items() if not task.startswith("coarse-")}
        shown["light fine"] = facet["fine"]
        pooled = {"every task": [replace(a, task="every task") for a in answers]}
        wanted["pooled"], shown["pooled"] = pooled, at["aggregates"]["pooled"]
        for name, own in wanted.items():
            votes = votes_of(test, own)
            estimate, base = accuracy(own, votes, place), accuracy(own, votes, 0)
            assert shown[name]["estimate"] == pytest.approx(estimate, abs=1e-6), name
            ends = paired_interval(own, votes, luck, 0, place) if place else (0, 0)
            delta = shown[name]["delta"]
            assert (delta["estimate"], delta["low"], delta["high"]) == pytest.approx((estimate - base, *ends), abs=2e-6)
    dev = answers_of(tables[Split.DEV], list(swept.chosen[Split.DEV].values()), 1)
    for place, row in enumerate(found["dev"]):
        own, inside = by_task(dev), side_tasks(dev, "inside")
        assert row["macro"] == pytest.approx(accuracy(own, votes_of(test, own), place), abs=1e-6)
        assert row["inside"] == pytest.approx(accuracy(inside, votes_of(test, inside), place), abs=1e-6)


def test_both_ends_are_the_parents_reports() -> None:
    """The very numbers, intervals included, that boards show of the same answers."""
    tables = make_splits(1)
    swept = make_sweep(tables, ALPHAS)
    found, test = document(tables, swept.table), tables[Split.TEST]
    for place, alpha in ((0, 0.0), (-1, 1.0)):
        report = score(
            test.info, Split.TEST, test.questions, test.key,
            answer_table(test.questions, swept.chosen[Split.TEST][alpha]), protocol="captions", key_revision=1,
        ).report  # fmt: skip
        at = found["alphas"][place]
        for name, wanted in report["aggregates"].items():
            shown = {end: at["aggregates"][name][end] for end in ("estimate", "low", "high")}
            assert shown == {end: wanted["1"][end] for end in shown}
        tasks = {row["task"]: row["accuracy"] for row in report["tasks"]}
        assert {row["task"]: row["accuracy"] for row in at["tasks"]} == tasks
        for row, wanted in zip(at["facets"], report["facets"], strict=True):
            for group in ("fine", "coarse"):
                if not row[group]["withheld"]:
                    assert {end: row[group][end] for end in tasks["set_0"]} == {
                        end: wanted[group][end] for end in tasks["set_0"]
                    }


def test_alpha_is_chosen_on_dev_and_reported_on_test() -> None:
    tables = make_splits(2)
    found = document(tables, make_sweep(tables, ALPHAS).table)
    best = max(found["dev"], key=lambda row: (row["macro"], -row["alpha"]))
    chosen = found["selected"]["best_macro"]
    assert found["selected_alpha"] == chosen["alpha"] == best["alpha"]
    place = ALPHAS.index(best["alpha"])
    at, parents = found["alphas"][place], {"vs_base": found["alphas"][0], "vs_tuned": found["alphas"][-1]}
    macro = {end: at["aggregates"]["macro"][end] for end in ("estimate", "low", "high")}
    assert chosen["macro"] == macro and chosen["inside"]["estimate"] == at["inside"]["estimate"]
    assert chosen["vs_base"]["macro"] == at["aggregates"]["macro"]["delta"]
    for name, parent in parents.items():
        difference = at["outside"]["estimate"] - parent["outside"]["estimate"]
        assert chosen[name]["outside"]["estimate"] == pytest.approx(difference, abs=2e-6)
    second = found["selected"]["within_one_point"]
    allowed = [row for row in found["dev"] if row["inside"] >= found["dev"][-1]["inside"] - 0.01]
    assert second["alpha"] == max(allowed, key=lambda row: (row["macro"], -row["alpha"]))["alpha"]
    assert found["selected"]["within_one_point_reason"] is None


def test_ties_go_to_the_smallest_alpha() -> None:
    macro = np.array([0.4, 0.6, 0.5, 0.6 + 1e-15, 0.3])
    assert best_macro(macro) == 1
    assert within_one_point(macro, np.array([0.2, 0.48, 0.49, 0.49, 0.5])) == 3
    assert within_one_point(macro, np.array([0.1, 0.1, 0.1, 0.1, 0.5])) == 4


def test_without_a_target_or_a_split_to_choose_on_a_rule_says_why() -> None:
    tables = make_splits(3)
    sweep = make_sweep(tables, ALPHAS).table
    found = document(tables, sweep, None)
    assert found["selected"]["within_one_point"] is None
    assert "No target" in found["selected"]["within_one_point_reason"]
    assert all(at["inside"] is None and at["outside"]["n_tasks"] == 5 for at in found["alphas"])
    alone = document(tables, sweep, select_on=None)
    assert alone["selected"] is alone["selected_alpha"] is None and alone["dev"] == []
    dev = tables[Split.DEV]
    electron = dev.key.set_column(
        dev.key.column_names.index("modality"), "modality", pa.array(["electron"] * dev.key.num_rows)
    )
    nothing_inside = tables | {Split.DEV: replace(dev, key=electron)}
    found = document(nothing_inside, sweep)
    assert found["selected"]["within_one_point"] is None and found["dev"][0]["inside"] is None
    assert "No image of split dev" in found["selected"]["within_one_point_reason"]


def test_an_alpha_without_answers_is_left_out_and_named() -> None:
    tables = make_splits(4)
    broken = [{"alpha": 0.5, "code": "non_finite_output", "message": "The scores are not finite."}]
    found = document(tables, make_sweep(tables, ALPHAS, broken=(0.5,)).table, broken=broken)
    assert [at["alpha"] for at in found["alphas"]] == [row["alpha"] for row in found["dev"]] == [0, 0.25, 0.75, 1]
    assert found["broken"] == broken and found["merge"] == RECORD["merge"]
    both = [entry | {"alpha": alpha} for entry in broken for alpha in (0.0, 1.0)]
    with pytest.raises(InputError) as error:
        document(tables, make_sweep(tables, ALPHAS, broken=(0.0, 1.0)).table, broken=both)
    assert [problem.code for problem in error.value.problems] == ["parent_broken"] * 2
    assert "not finite" in str(error.value)


def test_a_target_that_divides_nothing_is_refused() -> None:
    tables = make_splits(5)
    with pytest.raises(InputError, match="target_matches_nothing"):
        document(tables, make_sweep(tables, ALPHAS).table, {"stain": ("PAS",)})


def test_the_ensemble_mixes_logits_and_meets_both_parents() -> None:
    tables = make_splits(6)
    swept = make_sweep(tables, ALPHAS)
    found = document(tables, swept.table, logit_scale={"base": 100.0, "tuned": 25.0})
    for place in (0, -1):
        ensemble, merged = found["ensemble"][place], found["alphas"][place]
        for name, own in ensemble["aggregates"].items():
            assert own == {end: merged["aggregates"][name][end] for end in own}
        assert ensemble["inside"]["estimate"] == merged["inside"]["estimate"]
    slow = slow_ensemble(tables[Split.TEST], swept, 0.5, 100.0, 25.0)
    answers = answers_of(tables[Split.TEST], [slow], 1)
    tasks = by_task(answers)
    macro = accuracy(tasks, votes_of(tables[Split.TEST], tasks), 0)
    assert found["ensemble"][2]["aggregates"]["macro"]["estimate"] == pytest.approx(macro, abs=1e-6)
    unscaled = document(tables, swept.table, logit_scale={"base": None, "tuned": None})["ensemble"]
    assert unscaled != found["ensemble"]


def slow_ensemble(tables: Tables, swept: Swept, alpha: float, base_scale: float, tuned_scale: float) -> list[int]:
    """Row by row; the best option of the mixed logits, −1 where two are within 1e-6 of the summed scale."""
    sides = []
    for end in (0.0, 1.0):
        rows = swept.table.filter(pc.and_(pc.equal(swept.table["alpha"], end), pc.equal(swept.table["split"], "test")))
        sides.append(rows["scores"].to_pylist())
    found = []
    for base, tuned in zip(*sides, strict=True):
        mixed = [
            (1 - alpha) * base_scale * b + alpha * tuned_scale * t for b, t in zip(base, tuned, strict=True)
        ]  # fmt: skip
        best, second = sorted(mixed, reverse=True)[:2]
        tied = best - second <= 1e-6 * ((1 - alpha) * base_scale + alpha * tuned_scale)
        found.append(-1 if tied else mixed.index(best))
    return found


def test_equal_models_tie_nowhere_they_did_not_tie_before() -> None:
    """An ensemble of a model with itself is the model at every α, whatever the scale."""
    tables = make_splits(7)
    sweep = make_sweep(tables, (0.0, 1.0)).table
    base = sweep.filter(pc.equal(sweep["alpha"], 0.0))
    alphas = pa.array([1.0] * base.num_rows)
    same = pa.concat_tables([base, base.set_column(base.column_names.index("alpha"), "alpha", alphas)])
    found = document(tables, same, logit_scale={"base": 100.0, "tuned": 3.0})
    assert found["ensemble"][0] | {"alpha": 1.0} == found["ensemble"][1]
    assert found["alphas"][1]["aggregates"]["macro"]["delta"]["estimate"] == 0


def test_answers_without_scores_have_no_ensemble() -> None:
    tables = make_splits(8)
    sweep = make_sweep(tables, ALPHAS).table
    nothing = pa.nulls(sweep.num_rows, sweep.schema.field("scores").type)
    bare = sweep.set_column(sweep.column_names.index("scores"), "scores", nothing)
    assert document(tables, bare)["ensemble"] == []


def test_the_same_sweep_gives_the_same_bytes() -> None:
    tables = make_splits(9, items=40)
    sweep = make_sweep(tables, ALPHAS).table
    assert canonical_json(document(tables, sweep)) == canonical_json(document(tables, sweep))
