"""The official protocol, rule by rule: wordings, prompt, two ways to read a reply, two means, exclusions."""

import json

import numpy as np
import pyarrow as pa
import pytest

from evaluator.answering.questions import ask
from evaluator.answers import ANSWERS, Protocol
from evaluator.predictions.replies import parse_reply
from evaluator.release.prompts import render_prompt
from evaluator.release.schema import CLASSIFICATION, ITEMS, KEY, QUESTIONS, DatasetInfo, ReleaseInfo, Split, SplitInfo
from evaluator.scoring import score
from evaluator.scoring.grit import class_mark, image_mark
from evaluator.scoring.paper_rule import is_right_by_paper_rule

OPTIONS = ["light microscopy", "electron microscopy", "fluorescence microscopy", "none of the above"]


def test_the_prompt_to_the_letter():
    assert render_prompt("What modality is this?", OPTIONS) == (
        "Answer with a single letter, no extra details.\n"
        "Question:What modality is this?\n"
        "A) light microscopy\n"
        "B) electron microscopy\n"
        "C) fluorescence microscopy\n"
        "D) none of the above"
    )


# reply; the option that the strict parser reads (None = none); right by the paper's rule when B is right
REPLIES = [
    ("B", 1, True), ("b", 1, False), ("B)", 1, True), ("(B)", 1, False), ("B.", 1, True), ("B:", 1, True),
    (" B", 1, False), ("B\n", 1, True), ("A", 0, False), ("C", 2, False), ("D", 3, False), ("E", None, False),
    ("", None, False), (" ", None, False), ("Z", None, False),
    ("B) electron microscopy", 1, True), ("B) electron microscopy.", 1, True), ("B) Electron microscopy", None, True),
    ("b) electron microscopy", None, False), ("The answer is B) electron microscopy.", 1, True),
    ("The answer is B.", None, False), ("The answer is B", None, False), ("Answer: B", None, False),
    ("electron microscopy", None, False), ("Electron microscopy", None, False),
    ("It is an electron micrograph", None, False),
    ("A) light microscopy", 0, False), ("A) light microscopy or B) electron microscopy", None, True),
    ("A) light microscopy\nB) electron microscopy\nC) fluorescence microscopy\nD) none of the above", None, True),
    ("B) electron microscopy, not A) light microscopy", None, True),
    ("Both B) electron microscopy and B) electron microscopy", 1, True),
    ("BC", None, True), ("B C", None, True), ("B or C", None, True), ("Because of the contrast, C", None, True),
    ("Bright field", None, True), ("B) light microscopy", None, True), ("A) electron microscopy", None, False),
    ("AB) electron microscopy", None, True), ("**B**", None, False), ("[B]", None, False), ("1", None, False),
    ("I cannot tell.", None, False), ("None of the above", None, False), ("D) none of the above", 3, False),
    ("\u0412", None, False), ("B\u200b", None, True), ("(b).", None, False),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "strict", "_"), REPLIES)
def test_the_strict_parser(reply, strict, _):
    assert parse_reply(reply, OPTIONS) == strict


@pytest.mark.parametrize(("reply", "_", "right"), REPLIES)
def test_the_rule_of_the_paper(reply, _, right):
    assert is_right_by_paper_rule(reply, OPTIONS, 1) is right


def test_the_table_of_replies_is_long_enough():
    assert len({reply for reply, *_ in REPLIES}) >= 40


# Task by hand: images, right answers. Macro is the mean of the shares, pooled the share of the sum.
HAND = {"small": (2, 2), "large": (8, 2)}


def make(tasks: dict[str, tuple[int, int]], variants: tuple[int | None, ...] = (None,), text: bool = False):
    """A split whose tasks are datasets with `n` images each of which `right` are answered rightly (by option 1)."""
    items, questions, key, answers = [], [], [], []
    for dataset, (n, right) in tasks.items():
        for i in range(n):
            name = {"dataset": dataset, "image_id": f"{dataset}-{i}"}
            items.append({**name, "file": f"images/test/{dataset}-{i}.png", "width": 8, "height": 8})
            right_options = [{"question": CLASSIFICATION, "variant": v, "answer_idx": 1} for v in variants]
            key.append({**name, "source": f"{dataset}-{i}", "boxes": [], "original_id": "", "answers": right_options})
            for variant in variants:
                row = {**name, "question": CLASSIFICATION, "variant": variant}
                questions.append({**row, "text": "Which?", "options": OPTIONS})
                chosen = 1 if (i < right) == (variant != 0) else 0
                reply = "B or C" if i == 0 else "ABCD"[chosen]
                answers.append({**row, "chosen": -1 if text and i == 0 else chosen, "text": reply if text else None})
    info = ReleaseInfo(
        name="hand", version="1", hash="0" * 64, public_items=False, source_rule={},
        splits={Split.TEST: SplitInfo(items=len(items), questions=len(questions), sources=len(items))},
        datasets={name: DatasetInfo(title=name, taxonomy="other") for name in tasks},
    )  # fmt: skip
    columns = {name: [row.get(name) for row in key] for name in KEY.names}
    return (
        info, pa.Table.from_pylist(items, ITEMS), pa.Table.from_pylist(questions, QUESTIONS),
        pa.table(columns, schema=KEY), pa.Table.from_pylist(answers, ANSWERS),
    )  # fmt: skip


def report_of(tasks, **how):
    info, _, questions, key, answers = make(tasks, **how)
    return score(info, Split.TEST, questions, key, answers, protocol="questions", key_revision=1).report


def test_macro_and_pooled_by_hand():
    found = {name: cells["null"]["estimate"] for name, cells in report_of(HAND)["aggregates"].items()}
    assert found["macro"] == found["fine"] == (1.0 + 0.25) / 2
    assert found["pooled"] == found["pooled_fine"] == 4 / 10
    assert found["coarse"] is None and found["pooled_coarse"] is None


def test_leaving_out_two_channels_changes_both_totals():
    """The authors later dropped two channels of one study; as then, by leaving these datasets out of the release."""
    cells = {"cycle_brightfield": (4, 4), "cycle_darkfield": (4, 0), "cycle_epifluorescence": (4, 0), "tissue": (8, 6)}
    kept = {name: cells[name] for name in ("cycle_brightfield", "tissue")}
    whole, rest = ({n: c["null"]["estimate"] for n, c in report_of(t)["aggregates"].items()} for t in (cells, kept))
    assert (whole["macro"], rest["macro"]) == (1.75 / 4, 1.75 / 2)
    assert (whole["pooled"], rest["pooled"]) == (10 / 20, round(10 / 12, 6))


def test_both_wordings_are_asked_and_scored_apart():
    info, items, questions, key, answers = make(HAND, variants=(None, 0, 1))
    asked = ask(items, questions, Protocol.CAPTIONS)
    assert asked.rows["variant"].unique().to_pylist() == [0, 1] and set(asked.texts) == set(OPTIONS)
    captions = answers.filter(pa.compute.is_valid(answers["variant"]))
    report = score(info, Split.TEST, questions, key, captions, protocol="captions", key_revision=1).report
    macro = report["aggregates"]["macro"]
    assert macro["1"]["estimate"] == 0.625 and macro["0"]["estimate"] == 0.375 and "null" not in macro


def test_a_question_form_puts_question_and_option_together():
    _, items, questions, _, _ = make({"one": (1, 1)})
    assert ask(items, questions, Protocol.QUESTIONS).texts == [f"Which? {option}" for option in OPTIONS]


def test_raw_replies_are_also_read_by_the_rule_of_the_paper():
    report = report_of({"small": (2, 2), "large": (8, 2)}, text=True)
    # The first reply of each task is "B or C": no single option for us, the right letter first for the paper.
    assert report["aggregates"]["macro"]["null"]["estimate"] == (1 / 2 + 1 / 8) / 2
    rule = report["paper_rule"]
    assert rule["n_replies"] == 10 and rule["aggregates"]["macro"] == (1.0 + 0.25) / 2
    assert rule["aggregates"]["pooled"] == 0.4 and rule["aggregates"]["coarse"] is None
    assert [(task["task"], task["n_questions"], task["accuracy"]) for task in rule["tasks"]] == [
        ("large", 8, 0.25), ("small", 2, 1.0),
    ]  # fmt: skip
    assert report["counts"]["null"]["unparsed"] == 2 and "paper_rule" not in report_of(HAND)
    json.dumps(report, allow_nan=False)


# GRIT localisation of one class on one image: predicted boxes, true boxes, Σ matched IoU / (predicted + missed).
LEFT, RIGHT, TALL = (0, 0, 2, 2), (2, 0, 4, 2), (0, 0, 2, 4)
GRIT = {
    "neither": ([], [], 1.0),
    "nothing found": ([], [LEFT], 0.0),
    "nothing there": ([LEFT], [], 0.0),
    "exact": ([LEFT, RIGHT], [RIGHT, LEFT], 1.0),
    "half the box": ([TALL], [LEFT], 1 / 2),  # 4 shared of 8
    "side by side": ([RIGHT], [LEFT], 0.0),
    "a third": ([(1, 0, 3, 2)], [LEFT], 1 / 3),  # 2 shared of 6
    "one of two missed": ([LEFT], [LEFT, RIGHT], 1 / 2),
    "one too many": ([LEFT, RIGHT], [LEFT], 1 / 2),
    "the same box twice": ([LEFT, LEFT], [LEFT], 1 / 2),
    # TALL overlaps LEFT by 1/2; greedy matching would give it LEFT and leave LEFT nothing, the best keeps both.
    "the best matching": ([LEFT, TALL], [LEFT, (0, 2, 2, 4)], (1 + 1 / 2) / 2),
    "two halves, one missed": ([TALL, (2, 0, 4, 4)], [LEFT, RIGHT, (8, 8, 9, 9)], (1 / 2 + 1 / 2) / 3),
}


def as_boxes(corners) -> np.ndarray:
    return np.array(corners, dtype=np.float64).reshape(-1, 4)


@pytest.mark.parametrize(("predicted", "true", "expected"), GRIT.values(), ids=GRIT)
def test_grit_by_hand(predicted, true, expected):
    assert class_mark(as_boxes(predicted), as_boxes(true)) == pytest.approx(expected, abs=1e-12)


def test_grit_of_an_image_is_the_mean_over_the_classes_asked():
    predicted, true = {"cell": as_boxes([TALL])}, {"cell": as_boxes([LEFT]), "nucleus": as_boxes([LEFT])}
    assert image_mark(predicted, true, ["cell", "debris", "nucleus"]) == pytest.approx((1 / 2 + 1 + 0) / 3)
