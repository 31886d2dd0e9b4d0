"""Cognition and localisation: tasks of their own, ranked by the question form, and part of no mean over tasks."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evaluator.answers import ANSWERS
from evaluator.errors import InputError
from evaluator.release.key import read_key
from evaluator.release.read import item_ids, read_info, read_questions
from evaluator.release.schema import Split
from evaluator.release.tasks import is_cognition_kind
from evaluator.scoring import Scored, canonical_json, score
from evaluator.scoring.aggregates import Aggregate
from evaluator.scoring.baselines import majority_answers, score_chance
from evaluator.scoring.boards import BoardEntry, compute_board
from evaluator.scoring.histogram import Pictures, histogram_answers
from evaluator.scoring.index import Group, KeyIndex, build_index

BESIDE = ("cognition", "localisation-cells_a", "localisation-cells_b")


class Tables:
    """One split of the release with boxes."""

    def __init__(self, folder: Path, split: Split = Split.TEST) -> None:
        self.info, self.questions = read_info(folder), read_questions(folder, split)
        self.key, self.split = read_key(folder / "keys", split), split

    def index(self) -> KeyIndex:
        return build_index(self.info, self.split, self.questions, self.key)

    def score(self, answers: pa.Table, protocol: str = "captions") -> Scored:
        return score(self.info, self.split, self.questions, self.key, answers, protocol=protocol, key_revision=1)

    def answers(self, *, right: float = 1.0, seed: int = 0, forms: str = "captions", boxes: bool = True) -> pa.Table:
        """Right with probability `right`; where wrong, boxes are half of the true ones. forms: captions, questions."""
        rng = np.random.default_rng(seed)
        keys = dict(zip(item_ids(self.key).to_pylist(), self.key.to_pylist(), strict=True))
        rows = []
        for item, q in zip(item_ids(self.questions).to_pylist(), self.questions.to_pylist(), strict=True):
            row = {name: q[name] for name in ("dataset", "image_id", "question", "variant")}
            knows = rng.random() < right
            if q["question"] == "localisation":
                true = keys[item]["boxes"]
                found = [{**box, "score": None} for box in (true if knows else true[: len(true) // 2])]
                rows += [{**row, "chosen": 0, "boxes": found}] if boxes else []
                continue
            if (q["variant"] is None) != (forms == "questions" or is_cognition_kind(q["question"])):
                continue
            answer = next(
                a["answer_idx"] for a in keys[item]["answers"]
                if (a["question"], a["variant"]) == (q["question"], q["variant"])
            )  # fmt: skip
            rows.append({**row, "chosen": answer if knows else -1})
        return pa.Table.from_pylist(rows, ANSWERS)


@pytest.fixture(scope="module")
def tables(boxed_release: Path) -> Tables:
    return Tables(boxed_release)


def task_rows(report: dict[str, Any], slug: str) -> list[dict[str, Any]]:
    return [task for task in report["tasks"] if task["task"] == slug]


def test_the_tasks_stand_after_the_others_in_groups_of_their_own(tables: Tables) -> None:
    tasks = tables.index().tasks
    assert tuple(task.slug for task in tasks[-3:]) == BESIDE
    assert [task.group for task in tasks[-3:]] == [Group.COGNITION, Group.LOCALISATION, Group.LOCALISATION]
    assert all(task.group.is_core for task in tasks[:-3])
    for aggregate in Aggregate:
        assert not any(aggregate.covers(task) for task in tasks[-3:])
    assert [Aggregate.MACRO.covers(task) for task in tasks[:-3]] == [True] * 8  # five coarse, three fine


def test_no_mean_changes_when_they_are_left_out(tables: Tables) -> None:
    answers = tables.answers(right=0.6)
    core = answers.filter(pc.is_valid(answers["variant"]))
    whole, rest = tables.score(answers).report, tables.score(core).report
    assert whole["aggregates"] == rest["aggregates"] and whole["facets"] == rest["facets"]
    assert set(whole["aggregates"]["macro"]) == {"0", "1"}
    for slug in BESIDE:
        [with_them], [without] = task_rows(whole, slug), task_rows(rest, slug)
        assert with_them["variant"] is without["variant"] is None and with_them["n_questions"] > 0
        assert without["n_questions"] == 0 and without["accuracy"]["estimate"] is None


def test_cognition_counts_every_question(tables: Tables) -> None:
    [task] = task_rows(tables.score(tables.answers()).report, "cognition")
    asked = [kind for kind in tables.questions["question"].to_pylist() if is_cognition_kind(kind)]
    assert (task["n_questions"], task["group"]) == (len(asked), "cognition") and len(set(asked)) == 2
    assert task["n_items"] < len(asked) and task["accuracy"]["estimate"] == 1.0


def test_localisation_is_the_mean_mark_of_image_and_class(tables: Tables) -> None:
    """Found: all of `cells_b`'s one box per image; of `cells_a`'s nucleus and two cells, the nucleus alone."""
    answers = tables.answers(right=0.0).to_pylist()
    report = tables.score(pa.Table.from_pylist(answers, ANSWERS)).report
    [a], [b] = task_rows(report, "localisation-cells_a"), task_rows(report, "localisation-cells_b")
    with_boxes = [bool(row["boxes"]) for row in tables.key.to_pylist() if row["dataset"] == "cells_a"]
    # Images without boxes are right in both classes; on the others the nucleus is found and no cell.
    assert a["accuracy"]["estimate"] == pytest.approx(np.mean([0.5 if has else 1.0 for has in with_boxes]), abs=1e-6)
    assert b["accuracy"]["estimate"] == 0.0  # half of one box is none
    assert a["n_questions"] == a["n_items"] == len(with_boxes)


def test_abstaining_scores_nothing_and_an_empty_list_may_be_right(tables: Tables) -> None:
    rows = tables.answers().to_pylist()
    for chosen, boxes in ((-1, None), (0, [])):
        told = [r | {"chosen": chosen, "boxes": boxes} if r["question"] == "localisation" else r for r in rows]
        report = tables.score(pa.Table.from_pylist(told, ANSWERS)).report
        [task] = task_rows(report, "localisation-cells_a")
        assert (task["accuracy"]["estimate"] == 0.0) is (chosen == -1)
        n_located = sum(r["question"] == "localisation" for r in rows)
        assert report["counts"]["null"]["abstained"] == (n_located if chosen == -1 else 0)


@pytest.mark.parametrize(
    "boxes",
    [
        None, [None], [{"class": "axon", "x1": 1, "y1": 1, "x2": 2, "y2": 2}],
        [{"class": "cell", "x1": 2, "y1": 1, "x2": 1, "y2": 2}],
        [{"class": "cell", "x1": float("nan"), "y1": 1, "x2": 3, "y2": 2}],
        [{"class": "cell", "x1": 1, "y1": 1, "x2": 1e300, "y2": 2}],
        [{"class": "cell", "x1": None, "y1": 1, "x2": 3, "y2": 2}],
        [{"class": "cell", "x1": 1, "y1": 1, "x2": 2, "y2": 2}] * 1001,
    ],
)  # fmt: skip
def test_boxes_that_are_none_are_refused(tables: Tables, boxes: Any) -> None:
    rows = tables.answers().to_pylist()
    place = next(n for n, r in enumerate(rows) if r["question"] == "localisation" and r["dataset"] == "cells_a")
    rows[place] |= {"boxes": boxes}
    with pytest.raises(InputError) as refused:
        tables.score(pa.Table.from_pylist(rows, ANSWERS))
    assert refused.value.counts == {"bad_boxes": 1}


def test_some_rows_of_a_task_alone_are_refused(tables: Tables) -> None:
    answers = tables.answers()
    for kind in ("localisation", "cognition_0"):
        place = answers["question"].to_pylist().index(kind)
        with pytest.raises(InputError, match="incomplete_answers"):
            tables.score(pa.concat_tables([answers.slice(0, place), answers.slice(place + 1)]))


def test_a_detector_that_answers_nothing_else_has_a_report(tables: Tables) -> None:
    answers = tables.answers(right=0.5)
    found = tables.score(answers.filter(pc.equal(answers["question"], "localisation")))
    assert set(found.replicates) == {None}
    macro = found.report["aggregates"]["macro"]
    assert macro == {"null": {"estimate": None, "low": None, "high": None, "n_tasks": 0, "n_questions": 0}}
    [task] = task_rows(found.report, "localisation-cells_a")
    assert 0 < task["accuracy"]["low"] <= task["accuracy"]["estimate"] <= task["accuracy"]["high"] <= 1


def test_bytes_and_marks_are_the_same_on_every_run(tables: Tables) -> None:
    first, again = (tables.score(tables.answers(right=0.5)) for _ in range(2))
    assert canonical_json(first.report) == canonical_json(again.report)
    assert np.array_equal(first.correct, again.correct, equal_nan=True)
    assert len({*first.correct[~np.isnan(first.correct)].tolist()} - {0.0, 1.0}) > 0  # fractions are among them


def entry_of(found: Scored, variant: int | None, *, stored: bool = True) -> BoardEntry:
    return BoardEntry(
        correct=found.correct, variant=variant, ranked=True, replicates=found.replicates[variant] if stored else None
    )


@pytest.mark.parametrize("board", BESIDE)
def test_their_boards_rank_captions_and_questions_entries_together(tables: Tables, board: str) -> None:
    captions = tables.score(tables.answers(right=0.9, seed=1))
    questions = tables.score(tables.answers(right=0.3, seed=2, forms="questions"), "questions")
    lacking = tables.score(tables.answers(right=0.9, seed=1, boxes=False).filter(
        pc.is_valid(tables.answers(right=0.9, seed=1, boxes=False)["variant"])))  # fmt: skip
    index = tables.index()
    entries = [entry_of(captions, 1), entry_of(questions, None), entry_of(lacking, 1)]
    result = compute_board(index, board, entries, {}, hidden=True)
    assert result.metric is None and result.tasks == (board,)
    better, worse, unranked = result.standings
    for found, standing in ((captions, better), (questions, worse)):
        told = task_rows(found.report, board)[0]
        shown = (standing.score.estimate, standing.score.low, standing.score.high)
        assert shown == pytest.approx(tuple(told["accuracy"][name] for name in ("estimate", "low", "high")), abs=2e-6)
        assert standing.score.n_questions == told["n_questions"] == result.n_questions
    assert better.score.estimate > worse.score.estimate and better.rank_low is not None
    assert (unranked.missing, unranked.rank_low, unranked.score.estimate) == ((board,), None, None)
    anew = [entry_of(captions, 1, stored=False), entry_of(questions, None, stored=False)]
    drawn = compute_board(index, board, anew, {}, hidden=True)
    of_two = compute_board(index, board, entries[:2], {}, hidden=True)
    assert drawn.resolvable_difference == pytest.approx(of_two.resolvable_difference, abs=1e-5)


def test_other_boards_have_neither_columns_nor_questions_of_them(tables: Tables) -> None:
    found = entry_of(tables.score(tables.answers(right=0.7)), 1)
    for board in ("overall", "pooled", "coarse", "fine"):
        result = compute_board(tables.index(), board, [found], {}, hidden=True)
        assert not set(BESIDE) & set(result.tasks) and not result.standings[0].missing
    overall = compute_board(tables.index(), "overall", [found], {}, hidden=True)
    core = [q for q in tables.questions.to_pylist() if q["variant"] == 1]
    assert overall.n_questions == len(core)


def test_baselines_leave_boxes_out_and_take_cognition_where_dev_has_it(tables: Tables, boxed_release: Path) -> None:
    dev = Tables(boxed_release, Split.DEV)
    chance = score_chance(tables.info, Split.TEST, tables.questions, tables.key, protocol="captions", key_revision=1)
    assert task_rows(chance.report, "localisation-cells_a")[0]["n_questions"] == 0
    kinds = tables.questions["question"].to_pylist()
    options = tables.questions["options"].to_pylist()
    guessed = np.mean([1 / len(o) for kind, o in zip(kinds, options, strict=True) if is_cognition_kind(kind)])
    assert task_rows(chance.report, "cognition")[0]["accuracy"]["estimate"] == pytest.approx(guessed, abs=1e-6)

    majority = majority_answers(dev.questions, dev.key, tables.questions)
    answered = set(majority["question"].to_pylist())
    assert "cognition_0" in answered and "localisation" not in answered
    tables.score(majority)  # every task whole
    without = dev.questions.filter(pa.array([not is_cognition_kind(k) for k in dev.questions["question"].to_pylist()]))
    answered = set(majority_answers(without, dev.key, tables.questions)["question"].to_pylist())
    assert answered == {"modality", "submodality", "domain", "subdomain", "stain", "classification"}

    rng = np.random.default_rng(0)
    pictures = [
        Pictures(ids=item_ids(t.key).to_pylist(), sources=None, histograms=rng.random((t.key.num_rows, 4)))
        for t in (dev, tables)
    ]  # fmt: skip
    colours = histogram_answers(dev.questions, dev.key, pictures[0], tables.questions, pictures[1])
    assert set(colours["question"].to_pylist()) == answered
    tables.score(colours)
