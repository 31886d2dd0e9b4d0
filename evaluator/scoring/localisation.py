"""Marks of the rows that ask for boxes. In: aligned answers, questions, key; out: a fraction per row.

Answers come from programs of strangers: boxes that no detector could mean are refused, never repaired.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.answers import ABSTAINED
from evaluator.errors import ProblemLog
from evaluator.release.boxes import COORDINATES, MAX_BOXES, is_proper
from evaluator.release.read import item_ids
from evaluator.scoring.grit import Boxes, image_mark


def localisation_marks(
    aligned: pa.Table, questions: pa.Table, key: pa.Table, rows: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The GRIT mark of each of the `rows` (n,) that ask for boxes, in order: 0 abstained, NaN not asked.

    aligned: ANSWERS in the order of `questions`. Raises InputError for boxes that are no boxes or of classes that were
    not asked for.
    """
    places = pa.array(np.flatnonzero(rows))
    asked, given = questions.take(places), aligned.take(places)
    true_of = dict(zip(item_ids(key).to_pylist(), key["boxes"].to_pylist(), strict=True))
    problems = ProblemLog()
    marks = []
    for item, classes, chosen, boxes in zip(
        item_ids(asked).to_pylist(), asked["options"].to_pylist(), given["chosen"].to_pylist(),
        given["boxes"].to_pylist(), strict=True,
    ):  # fmt: skip
        if chosen is None or chosen == ABSTAINED:
            marks.append(np.nan if chosen is None else 0.0)
            continue
        if fault := _fault(boxes, classes):
            problems.add("bad_boxes", f"Image {item.split(chr(0))[1]}: {fault}")
            continue
        marks.append(image_mark(_by_class(boxes), _by_class(true_of[item]), classes))
    problems.raise_if_any()
    return np.array(marks, dtype=np.float64)


def _fault(boxes: list[dict[str, Any]] | None, classes: list[str]) -> str:
    """What is wrong with the boxes of a row that was answered; empty when nothing is."""
    if boxes is None:
        return "no list of boxes was given. Give an empty one where nothing was found."
    if len(boxes) > MAX_BOXES:
        return f"{len(boxes)} boxes were given, at most {MAX_BOXES} are taken."
    for box in boxes:
        if box is None or box["class"] not in classes:
            return "a box is of a class that was not asked for."
        if not is_proper(box):
            return "a box has no finite corners with x1 < x2 and y1 < y2."
    return ""


def _by_class(boxes: list[dict[str, Any]]) -> dict[str, Boxes]:
    found: dict[str, list[list[float]]] = {}
    for box in boxes:
        found.setdefault(box["class"], []).append([box[name] for name in COORDINATES])
    return {name: np.array(corners, dtype=np.float64) for name, corners in found.items()}
