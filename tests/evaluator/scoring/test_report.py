"""Reports: against scoring by loops over dictionaries, by hand, and unchanged by what must not matter."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.errors import InputError
from evaluator.release.schema import CLASSIFICATION, Split
from evaluator.scoring import canonical_json, score
from evaluator.scoring.baselines import chance_marks
from evaluator.scoring.index import build_index
from evaluator.scoring.report import score_marked
from tests.builders.tables import Tables, answer_table, make_tables, random_answers


def scored(tables: Tables, answers: pa.Table) -> dict[str, Any]:
    return score(
        tables.info, Split.TEST, tables.questions, tables.key, answers, protocol="captions", key_revision=1
    ).report  # fmt: skip


def slow_accuracies(tables: Tables, answers: pa.Table, keep: Any = lambda item: True) -> dict[Any, tuple[int, int]]:
    """(task, variant) -> (right, asked), row by row; `keep` takes a row of the key."""
    items = {(row["dataset"], row["image_id"]): row for row in tables.key.to_pylist()}
    found: dict[Any, tuple[int, int]] = {}
    for answer in answers.to_pylist():
        item = items[answer["dataset"], answer["image_id"]]
        if not keep(item):
            continue
        kind, variant = answer["question"], answer["variant"]
        right = next(a["answer_idx"] for a in item["answers"] if (a["question"], a["variant"]) == (kind, variant))
        task = answer["dataset"] if kind == CLASSIFICATION else f"coarse-{kind}"
        s, n = found.get((task, variant), (0, 0))
        found[task, variant] = (s + (answer["chosen"] == right and answer["chosen"] != -1), n + 1)
    return found


def slow_means(accuracies: dict[Any, tuple[int, int]], variant: int | None) -> dict[str, float]:
    here = {task: pair for (task, v), pair in accuracies.items() if v == variant}
    groups = {
        "macro": list(here), "coarse": [t for t in here if t.startswith("coarse-")],
        "fine": [t for t in here if not t.startswith("coarse-")],
    }  # fmt: skip
    found = {}
    for name, tasks in groups.items():
        pooled = "pooled" if name == "macro" else f"pooled_{name}"
        found[name] = sum(here[t][0] / here[t][1] for t in tasks) / len(tasks)
        found[pooled] = sum(here[t][0] for t in tasks) / sum(here[t][1] for t in tasks)
    return found


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(6, 40))
def test_scores_follow_the_definition(seed: int, datasets: int, items: int) -> None:
    tables = make_tables(datasets=datasets, items=items, sources=12, seed=seed)
    answers = random_answers(tables.questions, seed)
    report, slow = scored(tables, answers), slow_accuracies(tables, answers)
    fast = {(t["task"], t["variant"]): (t["accuracy"]["estimate"], t["n_questions"]) for t in report["tasks"]}
    assert fast == {place: (pytest.approx(s / n, abs=1e-6), n) for place, (s, n) in slow.items()}
    for variant, name in ((None, "null"), (0, "0"), (1, "1")):
        means = slow_means(slow, variant)
        assert {k: v[name]["estimate"] for k, v in report["aggregates"].items()} == pytest.approx(means, abs=1e-6)


def test_a_facet_is_the_subset_scored_alone() -> None:
    tables = make_tables(items=80, seed=3)
    answers = random_answers(tables.questions, 3)
    rows = [f for f in scored(tables, answers)["facets"] if f["facet"] == "modality" and f["variant"] == 1]
    assert {row["value"] for row in rows} == {"light", "electron"}
    for row in rows:
        means = slow_means(slow_accuracies(tables, answers, lambda item, v=row["value"]: item["modality"] == v), 1)
        assert (row["fine"]["estimate"], row["coarse"]["estimate"]) == pytest.approx(
            (means["fine"], means["coarse"]), abs=1e-6
        )


def test_an_item_without_a_facet_value_belongs_to_none() -> None:
    tables = make_tables(items=80, seed=4)
    rows = [f for f in scored(tables, random_answers(tables.questions))["facets"] if f["facet"] == "stain"]
    stated = sum(value is not None for value in tables.key["stain"].to_pylist())
    assert sum(row["fine"]["n_questions"] for row in rows if row["variant"] == 1) == stated < 80


def test_macro_and_pooled_by_hand() -> None:
    """Two fine tasks, 4 and 2 items: 3/4 and 0/2 right. macro 0.375, pooled 3/6."""
    tables = make_tables(datasets=1, items=4, kinds=(CLASSIFICATION,), variants=(None,), seed=1)
    other = make_tables(datasets=1, items=2, kinds=(CLASSIFICATION,), variants=(None,), seed=2)
    rename = pa.array(["set_b"] * 2)
    questions = pa.concat_tables([tables.questions, other.questions.set_column(0, "dataset", rename)])
    key = pa.concat_tables([tables.key, other.key.set_column(0, "dataset", rename)])
    both = Tables(info=tables.info, questions=questions, key=key)
    right = [row["answers"][0]["answer_idx"] for row in key.to_pylist()]
    report = scored(both, answer_table(questions, [*right[:3], -1, -1, -1]))
    found = {name: variants["null"]["estimate"] for name, variants in report["aggregates"].items()}
    assert found == {
        "macro": 0.375, "fine": 0.375, "coarse": None, "pooled": 0.5, "pooled_fine": 0.5, "pooled_coarse": None,
    }  # fmt: skip


def test_datasets_of_one_study_can_share_a_vote() -> None:
    apart = make_tables(datasets=3, items=90, kinds=(CLASSIFICATION,), variants=(1,), seed=5)
    shared = make_tables(
        datasets=3, items=90, kinds=(CLASSIFICATION,), variants=(1,), seed=5, vote_groups=(("set_0", "set_1"),)
    )
    answers = random_answers(apart.questions, 5)
    a, b, c = (t["accuracy"]["estimate"] for t in scored(apart, answers)["tasks"])
    macro = scored(shared, answers)["aggregates"]["macro"]["1"]["estimate"]
    assert macro == pytest.approx(((a + b) / 2 + c) / 2, abs=1e-6)
    assert scored(apart, answers)["aggregates"]["macro"]["1"]["estimate"] == pytest.approx((a + b + c) / 3, abs=1e-6)


def test_the_bytes_are_the_same_on_every_run_and_in_every_row_order() -> None:
    tables = make_tables(seed=6)
    answers = random_answers(tables.questions, 6)
    shuffled = answers.take(np.random.default_rng(0).permutation(answers.num_rows))
    first = canonical_json(scored(tables, answers))
    assert first == canonical_json(scored(tables, answers)) == canonical_json(scored(tables, shuffled))
    assert json.loads(first)["schema"] == 1


def test_what_was_not_answered_is_not_reported() -> None:
    tables = make_tables(seed=7)
    answers = random_answers(tables.questions)
    questions_only = answers.filter(answers["variant"].is_null())
    report = scored(tables, questions_only)
    assert {t["variant"] for t in report["tasks"]} == {None} and set(report["aggregates"]["macro"]) == {"null"}


def test_an_abstention_is_asked_and_never_right() -> None:
    tables = make_tables(seed=8)
    report = scored(tables, answer_table(tables.questions, [-1] * tables.questions.num_rows))
    assert {t["accuracy"]["estimate"] for t in report["tasks"]} == {0.0}
    assert report["counts"]["1"]["abstained"] == report["counts"]["1"]["answered"] == 360


def test_chance_is_the_mean_of_one_over_the_options() -> None:
    tables = make_tables(seed=9)
    marks = chance_marks(tables.questions)
    assert marks.tolist() == pytest.approx([1 / len(o) for o in tables.questions["options"].to_pylist()])


def test_the_report_of_chance_shows_what_guessing_would_score() -> None:
    tables = make_tables(datasets=2, seed=9)
    index = build_index(tables.info, Split.TEST, tables.questions, tables.key)
    report = score_marked(index, chance_marks(tables.questions), head={}, counts={}).report
    rows = [q for q in tables.questions.to_pylist() if q["variant"] == 1]
    assert report["aggregates"]["pooled"]["1"]["estimate"] == pytest.approx(
        np.mean([1 / len(q["options"]) for q in rows]), abs=1e-6
    )
    stains = [1 / len(q["options"]) for q in rows if q["question"] == "stain"]
    told = next(t for t in report["tasks"] if t["task"] == "coarse-stain" and t["variant"] == 1)
    assert told["accuracy"]["estimate"] == pytest.approx(np.mean(stains), abs=1e-6)


def test_answers_to_unknown_questions_and_double_answers_are_refused() -> None:
    tables = make_tables(seed=10)
    answers = random_answers(tables.questions)
    stranger = answers.slice(0, 1).set_column(1, "image_id", pa.array(["img_of_another_split"]))
    with pytest.raises(InputError) as refused:
        scored(tables, pa.concat_tables([answers, answers.slice(0, 2), stranger]))
    assert {problem.code for problem in refused.value.problems} == {"unknown_answers", "duplicate_answers"}


def test_a_key_of_another_release_is_refused() -> None:
    tables, other = make_tables(seed=11), make_tables(seed=12, items=30)
    with pytest.raises(ValueError, match="key"):
        scored(Tables(info=tables.info, questions=tables.questions, key=other.key), random_answers(tables.questions))


def test_the_interval_of_macro_comes_from_whole_sources() -> None:
    """Copies of items within their sources must not narrow the interval."""
    tables = make_tables(items=60, sources=15, kinds=(CLASSIFICATION,), variants=(1,), seed=13)

    def twice(table: pa.Table) -> pa.Table:
        copy = table.set_column(1, "image_id", pa.array([f"copy_{i}" for i in range(table.num_rows)]))
        return pa.concat_tables([table, copy])

    doubled = Tables(info=tables.info, questions=twice(tables.questions), key=twice(tables.key))
    answers = random_answers(tables.questions, 13)
    once, again = (scored(t, a)["aggregates"]["macro"]["1"] for t, a in ((tables, answers), (doubled, twice(answers))))
    assert again == {**once, "n_questions": 120}


def test_leaving_out_some_questions_of_a_task_is_refused() -> None:
    tables = make_tables(seed=14)
    answers = random_answers(tables.questions)
    with pytest.raises(InputError) as refused:
        scored(tables, answers.slice(1))
    [problem] = refused.value.problems
    assert problem.code == "incomplete_answers" and problem.message.startswith("1 of the 60 questions of coarse-")


def test_leaving_out_a_whole_task_is_reported_as_nothing_measured() -> None:
    tables = make_tables(seed=15)
    answers = random_answers(tables.questions)
    asked = [q["question"] != CLASSIFICATION or q["dataset"] != "set_1" for q in tables.questions.to_pylist()]
    report = scored(tables, answers.filter(pa.array(asked)))
    left_out = [t for t in report["tasks"] if t["task"] == "set_1"]
    assert {(t["n_questions"], t["accuracy"]["estimate"], t["accuracy"]["low"]) for t in left_out} == {(0, None, None)}
    assert {variant["n_tasks"] for variant in report["aggregates"]["fine"].values()} == {2}


def test_the_order_of_the_keys_rows_does_not_matter() -> None:
    tables = make_tables(seed=16)
    answers = random_answers(tables.questions)
    order = np.random.default_rng(1).permutation(tables.key.num_rows)
    moved = Tables(info=tables.info, questions=tables.questions, key=tables.key.take(order))
    assert canonical_json(scored(moved, answers)) == canonical_json(scored(tables, answers))


def test_sources_alone_in_their_stratum_still_vary() -> None:
    """Two sources, each in a dataset of its own: their draws must not be frozen."""
    tables = make_tables(datasets=2, items=40, sources=1, kinds=(CLASSIFICATION,), variants=(1,), seed=17)
    by_dataset = pa.array([f"source of {name}" for name in tables.key["dataset"].to_pylist()])
    key = tables.key.set_column(tables.key.column_names.index("source"), "source", by_dataset)
    apart = Tables(info=tables.info, questions=tables.questions, key=key)
    right = [row["answers"][0]["answer_idx"] for row in key.to_pylist()]
    chosen = [r if i % 4 else -1 for i, r in enumerate(right)]
    pooled = scored(apart, answer_table(tables.questions, chosen))["aggregates"]["pooled"]["1"]
    assert pooled["low"] < pooled["estimate"] < pooled["high"]
