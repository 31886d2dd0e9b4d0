"""Boxes in prediction files. In: what readers found in the column `boxes`; out: ANSWER_BOX lists, or what is wrong.

Readers deliver lists of boxes whose fields have the right types, null where one is missing; judging them needs the
question's classes and its image's size.
"""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.answers import ANSWER_BOX
from evaluator.release.boxes import COORDINATES

BOX_LISTS = pa.list_(ANSWER_BOX)
NUMBERS = (*COORDINATES, "score")
FORM = 'Write a list of {"class", "x1", "y1", "x2", "y2"}, with a "score" if you like.'
Record = dict[str, Any]


class BadBoxes(ValueError):
    """What stands in `boxes` is no list of boxes; the message says what to do."""


def parse_boxes(text: str) -> list[Record]:
    """The boxes in a field of a CSV file. Raises BadBoxes."""
    try:
        found = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_repeats)
    except (ValueError, RecursionError) as error:
        raise BadBoxes(f"`boxes` is no JSON ({error}). {FORM}") from error
    return read_boxes(found)


def read_boxes(found: object) -> list[Record]:
    """A list of objects as boxes; what is missing is None, what is not asked for is left out. Raises BadBoxes."""
    if not isinstance(found, list) or not all(isinstance(box, dict) for box in found):
        raise BadBoxes(f"`boxes` is no list of objects. {FORM}")
    return [_read_box(box) for box in found]


def parse_column(texts: pa.Array) -> pa.Array:
    """`parse_boxes` of every text that is there. Raises BadBoxes."""
    if not len(texts) or texts.null_count == len(texts):
        return pa.nulls(len(texts), BOX_LISTS)
    return pa.array([None if text is None else parse_boxes(text) for text in texts.to_pylist()], BOX_LISTS)


def refuse_constant(name: str) -> None:
    """NaN and the infinities, which JSON does not have."""
    raise ValueError(f"{name} is not allowed")


def refuse_repeats(pairs: list[tuple[str, Any]]) -> Record:
    """An object that names something twice says two things."""
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a name stands there twice")
    return record


def corners(boxes: pa.StructArray) -> npt.NDArray[np.float64]:
    """(n, 4) the corners of boxes; NaN where one is missing."""
    columns = [pc.fill_null(pc.struct_field(boxes, name), np.nan) for name in COORDINATES]
    return np.stack([column.to_numpy(zero_copy_only=False) for column in columns], axis=1).reshape(-1, len(COORDINATES))


def _read_box(box: Record) -> Record:
    name = box.get("class")
    if name is not None and not is_text(name):
        raise BadBoxes(f"The class of a box is no text. {FORM}")
    return {"class": name, **{field: _read_number(box, field) for field in NUMBERS}}


def _read_number(box: Record, field: str) -> float | None:
    value = box.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadBoxes(f"`{field}` of a box is no number. {FORM}")
    try:
        return float(value)
    except OverflowError:
        return float("inf")  # as the fast reader takes it; no box has such a corner


def is_text(value: object) -> bool:
    """Text that UTF-8 can hold: JSON escapes can spell halves of characters."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False
