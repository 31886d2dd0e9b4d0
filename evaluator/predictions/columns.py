"""The columns of prediction files. In: the names a file has; out: what is missing or not scored, said in one place."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from evaluator.errors import ProblemLog
from evaluator.predictions.boxes import BOX_LISTS

NAMES = ("dataset", "image_id", "question")
CHOICE = ("option", "reply")
BOXES = "boxes"
COLUMNS = (*NAMES, "variant", *CHOICE, BOXES)
SHOWN_NAMES = 12

# What every reader delivers: one row per prediction, `row` its 1-based number in the file. Exactly one of `option`
# (text) and `index` is set, or neither: then `reply` decides, or the row abstains. `boxes` answers localisation alone.
PREDICTIONS = pa.schema([
    ("row", pa.int64()), ("dataset", pa.string()), ("image_id", pa.string()), ("question", pa.string()),
    ("variant", pa.int64()), ("option", pa.string()), ("index", pa.int64()), ("reply", pa.string()),
    (BOXES, BOX_LISTS),
])  # fmt: skip

# `variant` in a text file, as people and their data frames write it.
VARIANT_TEXTS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
BAD_VARIANT = -1


def check_columns(found: Sequence[str]) -> None:
    """Raise InputError unless every needed column is there once and none asks for what is not scored."""
    problems = ProblemLog()
    shown = ", ".join(repr(name) for name in found[:SHOWN_NAMES]) + (", …" if len(found) > SHOWN_NAMES else "")
    for name in NAMES:
        if name not in found:
            problems.add("missing_column", f"There is no column `{name}`. The file has: {shown}.", field=name)
    if not {*CHOICE, BOXES} & set(found):
        problems.add(
            "missing_column", f"There is no column `option` (or `reply`). The file has: {shown}.", field="option"
        )
    for name in COLUMNS:
        if list(found).count(name) > 1:
            problems.add("duplicate_column", f"The column `{name}` stands there twice. Keep one.", field=name)
    problems.raise_if_any()


def read_variants(texts: pa.Array) -> pa.Array:
    """Variants written as text; what is none becomes BAD_VARIANT."""
    place = pc.index_in(texts, value_set=pa.array(list(VARIANT_TEXTS)), skip_nulls=True)
    values = pa.array(list(VARIANT_TEXTS.values()), pa.int64()).take(place)
    return pc.if_else(pc.is_valid(texts), pc.fill_null(values, BAD_VARIANT), values)
