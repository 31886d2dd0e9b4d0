"""Forgetting: against its definition by loops, and unchanged by what must not matter."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.analyses.forgetting import Side, analysis_head, forgetting
from evaluator.analyses.splits import SplitKey, marks_of, split_key
from evaluator.analyses.target import Target
from evaluator.errors import InputError
from evaluator.release.schema import Split
from evaluator.scoring import canonical_json
from evaluator.scoring.baselines import chance_marks
from tests.builders.fine_tunes import base_answers, tuned_answers
from tests.builders.tables import Tables, answer_table, make_tables
from tests.evaluator.analyses.slow import holm, slow_forgetting

TARGET: Target = {"stain": ("H&E",)}
NOTHING = {"estimate": None, "low": None, "high": None}


def split_of(tables: Tables) -> SplitKey:
    return split_key(tables.info, Split.TEST, tables.questions, tables.key)


def document(
    tables: Tables, base: pa.Table, tuned: pa.Table, target: Target | None = TARGET, *, hidden: bool = False
) -> dict[str, Any]:
    split = split_of(tables)
    base_side, tuned_side = (Side(correct=marks_of(split, side), protocol="captions") for side in (base, tuned))
    return forgetting(
        split.index, base_side, tuned_side, target, chance=chance_marks(tables.questions), hidden=hidden,
        head=analysis_head(tables.info, Split.TEST, key_revision=1),
    )  # fmt: skip


def pair_of(tables: Tables, seed: int = 0) -> tuple[pa.Table, pa.Table]:
    base = base_answers(tables, seed)
    return answer_table(tables.questions, base), answer_table(tables.questions, tuned_answers(tables, base, seed + 1))


def cells_of(found: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    """Every cell that has one, by (task, side) and (facet, value, group)."""
    cells = {(row["task"], side): row[side] for row in found["tasks"] for side in ("all", "inside", "outside")}
    cells |= {
        (row["facet"], row["value"], group): row[group] for row in found["facets"] for group in ("fine", "coarse")
    }
    return {place: cell for place, cell in cells.items() if cell is not None}


@pytest.mark.parametrize(
    ("seed", "votes"), [(0, ()), (1, (("set_0", "set_1"),))], ids=["one vote each", "a study with one vote"]
)
def test_equals_the_definition(seed: int, votes: tuple[tuple[str, ...], ...]) -> None:
    tables = make_tables(
        items=84, sources=24, seed=seed, variants=(1,), kinds=("modality", "classification"), vote_groups=votes
    )
    base = base_answers(tables, seed)
    tuned = tuned_answers(tables, base, seed + 10)
    slow = slow_forgetting(tables, [base, tuned], dict(TARGET))
    found = document(tables, answer_table(tables.questions, base), answer_table(tables.questions, tuned))
    cells = cells_of(found)
    assert cells.keys() == {place for place in slow if isinstance(place, tuple)}
    means = {side: found["headline"][side] for side in ("all", "inside", "outside")}
    for place, cell in {**cells, **means}.items():
        shown = {**cell, **cell["delta"]}
        wanted = {name: value for name, value in slow[place].items() if name in shown}
        assert {name: shown[name] for name in wanted} == pytest.approx(wanted, abs=2e-6), place
    adjusted = holm({place: slow[place]["p"] for place in cells if place[1] not in ("inside", "outside")})
    for side in ("inside", "outside"):
        adjusted |= holm({place: slow[place]["p"] for place in cells if place[1] == side})
    assert {place: cell["p_holm"] for place, cell in cells.items()} == pytest.approx(adjusted, abs=1e-6)
    part = found["headline"]["positive_part"]
    assert (part["estimate"], part["expected"]) == pytest.approx(slow["positive_part"], abs=1e-6)
    share = found["headline"]["retained_share"]
    assert slow["retained_share"] is not None
    assert (share["estimate"], share["low"], share["high"]) == pytest.approx(slow["retained_share"][:3], abs=2e-6)
    assert share["tasks"] == sorted(slow["retained_share"][3], key=share["tasks"].index)
    flips = found["headline"]["flips"]
    assert flips["lost"] == sum(cell["lost"] for place, cell in slow.items() if place[1:] == ("all",))
    assert flips["gained"] == sum(cell["gained"] for place, cell in slow.items() if place[1:] == ("all",))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_a_model_forgot_nothing_of_itself(seed: int) -> None:
    tables = make_tables(items=60, sources=25, seed=seed, variants=(1,))
    base, _ = pair_of(tables, seed)
    found = document(tables, base, base)
    for place, cell in cells_of(found).items():
        assert (cell["delta"]["estimate"], cell["lost"], cell["gained"], cell["p"]) == (0, 0, 0, 1), place
        assert cell["delta"]["low"] < 0 < cell["delta"]["high"]  # no change seen is not a change ruled out
    headline = found["headline"]
    assert headline["outside"]["delta"]["estimate"] == headline["inside"]["delta"]["estimate"] == 0
    assert headline["positive_part"]["estimate"] == headline["positive_part"]["expected"] == 0
    share = headline["retained_share"]
    assert (share["estimate"], share["low"], share["high"]) == (1, 1, 1) if share["n_tasks"] else share["low"] is None


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_swapping_the_sides_turns_every_difference_round(seed: int) -> None:
    tables = make_tables(items=60, sources=25, seed=seed, variants=(1,))
    base, tuned = pair_of(tables, seed)
    there, back = document(tables, base, tuned), document(tables, tuned, base)
    one, other = cells_of(there), cells_of(back)
    for side in ("all", "inside", "outside"):
        one[side], other[side] = there["headline"][side], back["headline"][side]
    for place, cell in one.items():
        turned = other[place]
        assert (turned["base"], turned["tuned"], turned["p"]) == (cell["tuned"], cell["base"], cell["p"])
        for end, opposite in (("estimate", "estimate"), ("low", "high"), ("high", "low")):
            was, now = cell["delta"][end], turned["delta"][opposite]
            assert now is was is None if was is None else now == pytest.approx(-was, abs=1.5e-6)
        if "lost" in cell:
            assert (turned["lost"], turned["gained"]) == (cell["gained"], cell["lost"])


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6), st.randoms())
def test_the_order_of_rows_does_not_matter(seed: int, random: Any) -> None:
    tables = make_tables(items=40, sources=15, seed=seed, variants=(1,))
    base, tuned = pair_of(tables, seed)
    order = list(range(base.num_rows))
    random.shuffle(order)
    moved = Tables(info=tables.info, questions=tables.questions.take(order), key=tables.key)
    assert document(moved, base, tuned.take(order)) == document(tables, base, tuned)


def test_the_same_answers_give_the_same_bytes() -> None:
    tables = make_tables(items=60, sources=20, seed=5)
    base, tuned = pair_of(tables)
    assert canonical_json(document(tables, base, tuned)) == canonical_json(document(tables, base, tuned))


def test_without_a_target_everything_is_outside() -> None:
    tables = make_tables(items=60, sources=20, seed=2, variants=(1,))
    found = document(tables, *pair_of(tables), target=None)
    assert found["target"] is None and found["headline"]["inside"] is None
    assert found["headline"]["outside"] == found["headline"]["all"]
    assert all(row["inside"] is None and row["outside"] == row["all"] for row in found["tasks"])
    assert document(tables, *pair_of(tables), target={}) == found


def test_few_sources_are_shown_but_not_averaged_and_withheld_where_the_split_is_hidden() -> None:
    tables = make_tables(items=66, sources=22, seed=4, variants=(1,))
    shown, hidden = (document(tables, *pair_of(tables), hidden=hidden) for hidden in (False, True))
    cells, guarded = cells_of(shown), cells_of(hidden)
    few = {place for place, cell in cells.items() if cell["n_sources"] < 10 and place[1] != "all"}
    assert few and any(place[1:] == ("inside",) for place in few)
    for place, cell in guarded.items():
        assert cell["withheld"] == (place in few)
        if place in few:
            numbers = [cell[name] for name in ("base", "tuned", "p", "p_holm", "lost", "gained")]
            assert numbers == [None] * 6 and cell["delta"] == NOTHING and cell["too_few"]
            assert cell["n_questions"] == cells[place]["n_questions"] > 0
    assert not any(cell["withheld"] for cell in cells.values())
    assert hidden["headline"] == shown["headline"]
    averaged = [place for place, cell in cells.items() if place[1] == "inside" and cell["n_sources"] >= 10]
    assert shown["headline"]["inside"]["n_tasks"] == len(averaged)


def test_a_task_with_nothing_outside_drops_out() -> None:
    tables = make_tables(items=60, sources=20, seed=0, datasets=2, variants=(1,))  # set_0 is light, set_1 electron
    found = document(tables, *pair_of(tables), target={"modality": ("light",)})
    rows = {row["task"]: row for row in found["tasks"]}
    assert rows["set_0"]["outside"] is None and rows["set_1"]["inside"] is None
    assert found["headline"]["outside"]["n_tasks"] == 6 and found["headline"]["all"]["n_tasks"] == 7


def test_only_tasks_that_both_answered_are_compared() -> None:
    tables = make_tables(items=60, sources=20, variants=(1,))
    base, tuned = pair_of(tables)
    lacks = [row for row, kind in enumerate(base["question"].to_pylist()) if kind != "stain"]
    found = document(tables, base.take(lacks), tuned)
    assert found["missing"] == {"base": ["coarse-stain"], "tuned": []}
    assert "coarse-stain" not in {row["task"] for row in found["tasks"]}
    assert document(tables, base, tuned.take(lacks))["missing"] == {"base": [], "tuned": ["coarse-stain"]}


def of_variants(answers: pa.Table, *variants: int | None) -> pa.Table:
    return answers.take([row for row, own in enumerate(answers["variant"].to_pylist()) if own in variants])


def test_models_are_compared_in_the_wording_that_both_answered() -> None:
    tables = make_tables(items=40, sources=15)
    base, tuned = pair_of(tables)
    assert document(tables, base, tuned)["variant"] == 1
    assert document(tables, of_variants(base, None, 0), tuned)["variant"] is None
    assert document(tables, of_variants(base, 0), of_variants(tuned, 0, 1))["variant"] == 0
    with pytest.raises(InputError, match="no_common_wording") as error:
        document(tables, of_variants(base, None), of_variants(tuned, 0, 1))
    assert "question form" in str(error.value) and "captions 1 and captions 0" in str(error.value)


def test_tasks_beside_the_core_are_compared_and_stay_out_of_every_mean() -> None:
    tables = make_tables(items=60, sources=20, variants=(None,), kinds=("modality", "classification", "cognition_0"))
    base, tuned = pair_of(tables)
    found = document(tables, base, tuned)
    rows = {row["task"]: row for row in found["tasks"]}
    assert rows["cognition"]["all"]["n_questions"] == 60
    assert found["headline"]["all"]["n_tasks"] == len(rows) - 1
    assert found["headline"]["flips"]["n_questions"] == 120
    alone = [row for row, kind in enumerate(base["question"].to_pylist()) if kind == "cognition_0"]
    nothing_core = document(tables, base.take(alone), tuned.take(alone))
    assert [row["task"] for row in nothing_core["tasks"]] == ["cognition"]
    assert nothing_core["headline"]["outside"]["delta"] == NOTHING and nothing_core["headline"]["all"]["n_tasks"] == 0
    assert nothing_core["headline"]["retained_share"]["estimate"] is None


def test_a_base_at_chance_has_nothing_to_retain() -> None:
    tables = make_tables(items=60, sources=20, variants=(1,))
    wrong = answer_table(tables.questions, [-1] * tables.questions.num_rows)
    share = document(tables, wrong, pair_of(tables)[1])["headline"]["retained_share"]
    assert share == {"estimate": None, "low": None, "high": None, "n_tasks": 0, "tasks": []}


def test_a_model_that_guesses_less_than_nothing_retains_less_than_nothing() -> None:
    tables = make_tables(items=60, sources=20, variants=(1,))
    base = answer_table(tables.questions, base_answers(tables, 0, share=0.95))
    wrong = answer_table(tables.questions, [-1] * tables.questions.num_rows)
    assert document(tables, base, wrong)["headline"]["retained_share"]["estimate"] < 0


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"stain": ("PAS",)}, "target_matches_nothing"), ({"colour": ("red",)}, "target"),
        ({"stain": ("H&E",), "modality": ("x",)}, "target_matches_nothing"),
        ({"modality": ("light", "electron")}, "target_matches_everything"),
    ],
)  # fmt: skip
def test_a_target_that_divides_nothing_is_refused(target: Target, code: str) -> None:
    tables = make_tables(items=30, sources=10, variants=(1,))
    with pytest.raises(InputError) as error:
        document(tables, *pair_of(tables), target=target)
    assert [problem.code for problem in error.value.problems] == [code]


def test_boxes_are_compared_by_their_marks_and_do_not_flip() -> None:
    tables = make_tables(items=30, sources=12, variants=(None,), kinds=("localisation", "modality"))
    split, rng = split_of(tables), np.random.default_rng(0)
    located = split.index.localisation_rows()
    base, tuned = (np.where(located, rng.random(len(located)), 1.0).astype(np.float32) for _ in range(2))
    found = forgetting(
        split.index, Side(correct=base, protocol="boxes"), Side(correct=tuned, protocol="boxes"), None,
        chance=chance_marks(tables.questions), hidden=False, head={},
    )  # fmt: skip
    row = next(row for row in found["tasks"] if row["group"] == "localisation")
    own = split.index.task == [task.slug for task in split.index.tasks].index(row["task"])
    assert row["all"]["delta"]["estimate"] == pytest.approx(float(tuned[own].mean() - base[own].mean()), abs=2e-6)
    assert row["all"]["lost"] is None and row["all"]["gained"] is None
    assert row["all"]["delta"]["low"] < row["all"]["delta"]["estimate"] < row["all"]["delta"]["high"]
