"""Are these features that heads and strategies can work on? In: any array; out: (n, d) float32, or InputError."""

import numpy as np
from numpy.typing import NDArray

from evaluator.errors import InputError

LARGEST = 1e15  # the square of a larger one, summed over d, may leave float32


def checked_features(features: NDArray) -> NDArray[np.float32]:
    """The features as float32, one row per image.

    Raises InputError `features_not_a_table` (not numbers in two dimensions with a row and a column at least),
    `not_finite_features` (NaN or infinite), `features_too_large`; the last two say how many rows and which is first.
    """
    table = np.asarray(features)
    if table.ndim != 2 or 0 in table.shape or table.dtype.kind not in "fiu":
        message = (f"Features are an array of {table.dtype} of shape {table.shape}. Give real numbers in two "
                   "dimensions: one row per image, one column per feature, at least one of each.")  # fmt: skip
        raise InputError.single("features_not_a_table", message)
    _refuse(~np.isfinite(table).all(axis=1), "not_finite_features", "NaN or infinite features. Leave these images out.")
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(table, dtype=np.float32)
    too_large = f"features beyond ±{LARGEST:.0e}. Scale the features down."
    _refuse(np.any(np.abs(narrow) > LARGEST, axis=1), "features_too_large", too_large)
    return narrow


def _refuse(bad: NDArray[np.bool_], code: str, complaint: str) -> None:
    if bad.any():
        first = int(bad.argmax()) + 1
        message = f"{int(bad.sum())} of {len(bad)} rows (the first is row {first}) have {complaint}"
        raise InputError.single(code, message, row=first)
