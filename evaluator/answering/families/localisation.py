"""What a detector is asked. In: items and QUESTIONS; out: images to look at, classes to look for. Torch-free.

Its answers are ANSWERS rows: `chosen` FOUND where boxes were given (an empty list says that none is there), ABSTAINED
where none were; `boxes` in pixels of the stored image; `scores` and `text` null.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluator.answers import FOUND
from evaluator.errors import InputError
from evaluator.release.read import item_ids
from evaluator.release.schema import LOCALISATION

__all__ = ["FOUND", "LocalisationAsked", "ask_localisation"]


@dataclass(frozen=True, kw_only=True)
class LocalisationAsked:
    """The localisation rows of a split, in canonical order.

    rows: QUESTIONS. image_of (rows,): the item's place in the items table. classes: per row, every class that its
    dataset has boxes of, whether or not the image has any.
    """

    rows: pa.Table
    image_of: np.ndarray
    classes: list[list[str]]


def ask_localisation(items: pa.Table, questions: pa.Table) -> LocalisationAsked:
    """The localisation rows of `questions`. Raises InputError `nothing_to_ask` when the split has none, ValueError when
    one names no item."""
    rows = questions.filter(pc.equal(questions["question"], LOCALISATION)).combine_chunks()
    if not rows.num_rows:
        message = "No dataset of this split has boxes, so there is nothing to localise. Choose another."
        raise InputError.single("nothing_to_ask", message, field="split")
    image_of = pc.index_in(item_ids(rows), value_set=item_ids(items))
    if image_of.null_count:
        raise ValueError(f"{image_of.null_count} questions name an item that the items table lacks")
    return LocalisationAsked(rows=rows, image_of=image_of.to_numpy(), classes=rows["options"].to_pylist())
