"""Boards: the same numbers as reports, facets as subsets, ranks over those who compete."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from evaluator.release.schema import CLASSIFICATION, Split
from evaluator.scoring import score
from evaluator.scoring.aggregates import Aggregate
from evaluator.scoring.baselines import chance_marks, majority_answers
from evaluator.scoring.boards import BoardEntry, compute_board
from evaluator.scoring.index import KeyIndex, build_index
from evaluator.scoring.sums import replicates, source_sums
from tests.builders.tables import Tables, answer_table, make_tables, random_answers


def index_of(tables: Tables) -> KeyIndex:
    return build_index(tables.info, Split.TEST, tables.questions, tables.key)


def entry(tables: Tables, share: float, seed: int, *, ranked: bool = True, variant: int | None = 1) -> BoardEntry:
    """Right at a random `share` of the rows."""
    marks = (np.random.default_rng(seed).random(tables.questions.num_rows) < share).astype(np.float32)
    return BoardEntry(correct=marks, variant=variant, ranked=ranked)


@pytest.mark.parametrize(
    ("board", "key"), [("overall", "macro"), ("fine", "fine"), ("pooled-coarse", "pooled_coarse"), ("pooled", "pooled")]
)
def test_an_aggregate_board_shows_the_reports_number(board: str, key: str) -> None:
    tables = make_tables(seed=1)
    found = score(
        tables.info, Split.TEST, tables.questions, tables.key, random_answers(tables.questions),
        protocol="captions", key_revision=1,
    )  # fmt: skip
    stored = BoardEntry(correct=found.correct, variant=1, ranked=True, replicates=found.replicates[1])
    drawn = BoardEntry(correct=found.correct, variant=1, ranked=True)
    first, second = compute_board(index_of(tables), board, [stored, drawn], {}, hidden=True).standings
    told = found.report["aggregates"][key]["1"]
    for standing in (first, second):
        shown = (standing.score.estimate, standing.score.low, standing.score.high)
        assert shown == pytest.approx((told["estimate"], told["low"], told["high"]), abs=2e-6)


def test_a_task_board_shows_the_tasks_wilson_interval() -> None:
    tables = make_tables(seed=2)
    found = score(
        tables.info, Split.TEST, tables.questions, tables.key, random_answers(tables.questions),
        protocol="captions", key_revision=1,
    )  # fmt: skip
    told = next(t for t in found.report["tasks"] if t["task"] == "set_1" and t["variant"] == 1)
    board = compute_board(
        index_of(tables), "set_1", [BoardEntry(correct=found.correct, variant=1, ranked=True)], {}, hidden=True
    )
    shown = board.standings[0].score
    assert (shown.estimate, shown.low) == pytest.approx(
        (told["accuracy"]["estimate"], told["accuracy"]["low"]), abs=1e-6
    )
    assert board.tasks == ("set_1",) and board.metric is None


def test_a_facet_board_is_fine_macro_of_the_items_in_it() -> None:
    tables = make_tables(items=120, sources=60, seed=3)
    index = index_of(tables)
    one = entry(tables, 0.6, 3)
    board = compute_board(index, "overall", [one], {"modality": ("light",), "stain": ("H&E", "DAPI")}, hidden=False)
    rows = tables.questions.to_pylist()
    inside = {(k["dataset"], k["image_id"]) for k in tables.key.to_pylist() if k["modality"] == "light" and k["stain"]}
    per_task: dict[str, list[float]] = {}
    for row, mark in zip(rows, one.correct, strict=True):
        if (row["dataset"], row["image_id"]) in inside and row["question"] == CLASSIFICATION and row["variant"] == 1:
            per_task.setdefault(row["dataset"], []).append(float(mark))
    assert board.metric is Aggregate.FINE
    assert board.standings[0].score.estimate == pytest.approx(np.mean([np.mean(m) for m in per_task.values()]))
    assert board.standings[0].beside is not None and board.standings[0].beside.estimate is not None


def test_a_hidden_intersection_of_few_sources_shows_n_and_no_score() -> None:
    tables = make_tables(items=40, sources=8, seed=4)
    board = compute_board(index_of(tables), "overall", [entry(tables, 0.5, 4)], {"modality": ("light",)}, hidden=True)
    assert board.withheld and board.n_sources < 10 and board.n_questions > 0
    assert board.standings[0].score.estimate is None and {c.estimate for c in board.standings[0].cells} == {None}
    public = compute_board(index_of(tables), "overall", [entry(tables, 0.5, 4)], {"modality": ("light",)}, hidden=False)
    assert public.standings[0].score.estimate is not None


def test_baselines_and_partial_entries_stand_unranked() -> None:
    tables = make_tables(items=200, sources=100, seed=5)
    good, weak = entry(tables, 0.95, 1), entry(tables, 0.3, 2)
    partial: NDArray[np.float32] = entry(tables, 0.9, 3).correct.copy()
    partial[np.array(tables.questions["dataset"].to_pylist()) == "set_2"] = np.nan
    chance = BoardEntry(correct=chance_marks(tables.questions), variant=1, ranked=False)
    entries = [weak, BoardEntry(correct=partial, variant=1, ranked=True), chance, good]
    standings = compute_board(index_of(tables), "overall", entries, {}, hidden=True).standings
    assert [s.rank_low for s in standings] == [2, None, None, 1]
    assert standings[1].missing == ("set_2",)
    assert standings[2].score.estimate == pytest.approx(
        compute_board(index_of(tables), "overall", [chance], {}, hidden=True).standings[0].score.estimate
    )


def test_entries_of_different_variants_are_compared_source_by_source() -> None:
    tables = make_tables(items=150, sources=80, seed=6)
    marks = entry(tables, 0.7, 6).correct
    by_variant = [BoardEntry(correct=marks, variant=v, ranked=True) for v in (None, 0, 1)]
    standings = compute_board(index_of(tables), "overall", by_variant, {}, hidden=True).standings
    assert {s.score.n_questions for s in standings} == {900} and all(s.rank_low == 1 for s in standings)


def test_an_unknown_board_or_facet_is_a_key_error() -> None:
    index = index_of(make_tables(seed=7))
    with pytest.raises(KeyError):
        compute_board(index, "no-such-task", [], {}, hidden=True)
    with pytest.raises(KeyError):
        compute_board(index, "overall", [], {"colour": ("red",)}, hidden=True)


def test_the_majority_answer_is_learned_on_dev_alone() -> None:
    """Against a loop: per task and variant, the option whose text was right most often in dev."""
    dev, test = make_tables(items=90, seed=8), make_tables(items=40, seed=9)
    rights: dict[tuple[str, int | None], dict[str, int]] = {}
    answers = {
        (k["dataset"], k["image_id"], a["question"], a["variant"]): a["answer_idx"]
        for k in dev.key.to_pylist() for a in k["answers"]
    }  # fmt: skip
    for q in dev.questions.to_pylist():
        task = q["dataset"] if q["question"] == CLASSIFICATION else q["question"]
        text = q["options"][answers[q["dataset"], q["image_id"], q["question"], q["variant"]]]
        counts = rights.setdefault((task, q["variant"]), {})
        counts[text] = counts.get(text, 0) + 1
    given = majority_answers(dev.questions, dev.key, test.questions)["chosen"].to_pylist()
    for q, chosen in zip(test.questions.to_pylist(), given, strict=True):
        task = q["dataset"] if q["question"] == CLASSIFICATION else q["question"]
        seen = [rights[task, q["variant"]].get(option, 0) for option in q["options"]]
        assert chosen == (seen.index(max(seen)) if max(seen) else -1)


def test_perfect_answers_score_one() -> None:
    tables = make_tables(seed=10)
    right = {
        (k["dataset"], k["image_id"], a["question"], a["variant"]): a["answer_idx"]
        for k in tables.key.to_pylist() for a in k["answers"]
    }  # fmt: skip
    rows = [(q["dataset"], q["image_id"], q["question"], q["variant"]) for q in tables.questions.to_pylist()]
    answers = answer_table(tables.questions, [right[row] for row in rows])
    found = score(tables.info, Split.TEST, tables.questions, tables.key, answers, protocol="captions", key_revision=1)
    assert {t["accuracy"]["estimate"] for t in found.report["tasks"]} == {1.0}


def test_a_hidden_intersection_withholds_the_cells_of_few_sources_too() -> None:
    """Enough sources for the score, too few for one of its tasks."""
    tables = make_tables(datasets=2, items=150, sources=100, seed=11)
    lean = [row["dataset"] == "set_1" and i > 10 for i, row in enumerate(tables.key.to_pylist())]
    stain = pa.array(["DAPI" if few else "H&E" for few in lean])
    key = tables.key.set_column(tables.key.column_names.index("stain"), "stain", stain)
    narrowed = Tables(info=tables.info, questions=tables.questions, key=key)
    hidden, public = (
        compute_board(index_of(narrowed), "fine", [entry(narrowed, 0.5, 1)], {"stain": ("H&E",)}, hidden=hide)
        for hide in (True, False)
    )
    [standing] = hidden.standings
    assert not hidden.withheld and standing.score.estimate is not None
    assert [cell.estimate is None for cell in standing.cells] == [False, True]
    assert [cell.n_questions for cell in standing.cells] == [c.n_questions for c in public.standings[0].cells]
    assert public.standings[0].cells[1].estimate is not None


def test_stored_replicates_rank_as_fresh_draws_do() -> None:
    tables = make_tables(items=200, sources=100, seed=12)
    index = index_of(tables)
    fresh = [entry(tables, share, seed) for seed, share in enumerate((0.3, 0.35, 0.5, 0.6, 0.9))]
    sums = [source_sums(index, e.correct, index.rows_of(1)) for e in fresh]
    stored = [replace(e, replicates=replicates(index, s).astype(np.float32)) for e, s in zip(fresh, sums, strict=True)]
    for board in ("overall", "pooled", "coarse-stain", "set_2"):
        first, second = (compute_board(index, board, entries, {}, hidden=True) for entries in (fresh, stored))
        assert first.resolvable_difference == pytest.approx(second.resolvable_difference, abs=1e-6)
        for a, b in zip(first.standings, second.standings, strict=True):
            assert (a.rank_low, a.rank_high, a.group) == (b.rank_low, b.rank_high, b.group)
            assert (a.score.low, a.score.high) == pytest.approx((b.score.low, b.score.high), abs=1e-6)


def test_a_partial_entrys_tasks_share_votes_among_those_it_has() -> None:
    """Its replicates must follow the same votes as its score, whatever the entries beside it have."""
    tables = make_tables(
        datasets=3, items=90, kinds=(CLASSIFICATION,), variants=(1,), vote_groups=(("set_0", "set_1"),), seed=13
    )
    whole, part = entry(tables, 0.5, 1), entry(tables, 0.7, 2)
    marks = part.correct.copy()
    marks[np.array(tables.questions["dataset"].to_pylist()) == "set_1"] = np.nan
    lacking = replace(part, correct=marks)
    beside = compute_board(index_of(tables), "overall", [whole, lacking], {}, hidden=True).standings[1]
    alone = compute_board(index_of(tables), "overall", [lacking], {}, hidden=True).standings[0]
    assert beside.score == alone.score
    set_0, _, set_2 = beside.cells
    assert set_0.estimate is not None and set_2.estimate is not None
    assert beside.score.estimate == pytest.approx((set_0.estimate + set_2.estimate) / 2)
