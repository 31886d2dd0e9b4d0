"""Judge boxes, many at once. In: lists of boxes, the questions they answer; out: a fault per row, boxes as answers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.answers import ANSWER_BOX
from evaluator.predictions.boxes import BOX_LISTS, corners
from evaluator.predictions.faults import Fault
from evaluator.predictions.index import NOWHERE, Ints, QuestionIndex
from evaluator.release.boxes import COORDINATES, MAX_BOXES

TOLERANCE = 1.0  # pixels that a box may stick out of its image; it is cut at the edge


@dataclass(frozen=True, kw_only=True)
class JudgedBoxes:
    """Per row that states boxes: its fault, and its boxes cut to the image (of no meaning where there is a fault)."""

    fault: npt.NDArray[np.int8]
    boxes: pa.Array


def judge_boxes(lists: pa.Array, question: Ints, index: QuestionIndex) -> JudgedBoxes:
    """lists: BOX_LISTS without nulls. question: the place of the question that each row answers."""
    fault = np.zeros(len(lists), np.int8)
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    fault[lengths > MAX_BOXES] = Fault.TOO_MANY_BOXES
    few = lists.filter(pa.array(lengths <= MAX_BOXES))
    owner = np.repeat(np.flatnonzero(lengths <= MAX_BOXES), lengths[lengths <= MAX_BOXES])
    boxes = few.flatten()
    found = corners(boxes)
    inside = np.clip(found, 0.0, np.tile(index.sizes[question[owner]], 2))
    faults = _faults(boxes, found, inside, question[owner], index)
    bad = np.flatnonzero(faults)
    rows, first = np.unique(owner[bad], return_index=True)
    fault[rows] = faults[bad[first]]
    return JudgedBoxes(fault=fault, boxes=_as_lists(boxes, inside, np.where(lengths <= MAX_BOXES, lengths, 0)))


def _faults(
    boxes: pa.StructArray, found: npt.NDArray[np.float64], inside: npt.NDArray[np.float64], question: Ints,
    index: QuestionIndex,
) -> npt.NDArray[np.int8]:  # fmt: skip
    """The fault of every box: BAD_BOX, UNKNOWN_CLASS, BOX_OUTSIDE, in this order."""
    names, scores = pc.struct_field(boxes, "class"), pc.struct_field(boxes, "score")
    faults = np.zeros(len(found), np.int8)
    is_far = (found < -TOLERANCE) | (found > np.tile(index.sizes[question], 2) + TOLERANCE)
    faults[is_far.any(axis=1) | ~_is_proper(inside)] = Fault.BOX_OUTSIDE
    faults[index.find_options(names, question) == NOWHERE] = Fault.UNKNOWN_CLASS
    finite_score = pc.fill_null(pc.is_finite(scores), True).to_numpy(zero_copy_only=False)
    is_box = _is_proper(found) & pc.is_valid(names).to_numpy(zero_copy_only=False) & finite_score
    faults[~is_box] = Fault.BAD_BOX
    return faults


def _is_proper(found: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether corners (n, 4) are finite and in order."""
    x1, y1, x2, y2 = found.T
    return np.isfinite(found).all(axis=1) & (x1 < x2) & (y1 < y2)


def _as_lists(boxes: pa.StructArray, inside: npt.NDArray[np.float64], lengths: Ints) -> pa.Array:
    columns = {name: pa.array(inside[:, place]) for place, name in enumerate(COORDINATES)}
    columns |= {name: pc.struct_field(boxes, name) for name in ("class", "score")}
    cut = pa.StructArray.from_arrays([columns[field.name] for field in ANSWER_BOX], fields=list(ANSWER_BOX))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), cut).cast(BOX_LISTS)
