"""A pool with its labels in one file. In: POOL.npz; out: LabelledPool, or every error at once. Torch-free.

Arrays: train_x (n, d) features of the pool, train_y (n,) its labels, test_x (m, d), test_y (m,) what heads are scored
on. Labels are any whole numbers from 0; classes are those of train_y, in ascending order.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.tasks import Data
from evaluator.errors import InputError, ProblemLog

NAMES = ("train_x", "train_y", "test_x", "test_y")
SHOWN = 5  # rows or classes named in a message


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledPool:
    """data: what heads are trained on and asked about; right: (m,) classes of the evaluated images, 0 … C − 1."""

    data: Data
    right: NDArray[np.int64]


def read_pool(path: Path) -> LabelledPool:
    """Raises InputError with everything that is wrong with the file; nothing in it is ever unpickled."""
    arrays, log = _read_arrays(path), ProblemLog()
    features = {name: _features(name, array, log) for name, array in arrays.items() if name.endswith("_x")}
    labels = {name: _labels(name, array, log) for name, array in arrays.items() if name.endswith("_y")}
    for name in NAMES:
        if name not in arrays:
            log.add("missing_array", f"The file has no array {name}. It needs {', '.join(NAMES)}.", field=name)
    _compare(features, labels, log)
    log.raise_if_any()
    classes, right = np.unique(labels["train_y"]), labels["test_y"]
    data = Data(
        pool=features["train_x"], labels=np.searchsorted(classes, labels["train_y"]), evaluated=features["test_x"],
        n_classes=len(classes),
    )  # fmt: skip
    return LabelledPool(data=data, right=np.searchsorted(classes, right))


def _read_arrays(path: Path) -> dict[str, NDArray]:
    found = {}
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array without a name")
            for name in NAMES:
                if name in file:
                    found[name] = file[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        message = f"{path} is not a file of arrays ({error}). Write it with numpy.savez: {', '.join(NAMES)}."
        raise InputError.single("pool_unreadable", message) from error
    return found


def _features(name: str, array: NDArray, log: ProblemLog) -> NDArray[np.float32]:
    if array.ndim != 2 or not array.size:
        log.add("wrong_shape", f"It has shape {array.shape}; give one row of features per image.", field=name)
    if array.dtype.kind not in "fiu":
        log.add("wrong_type", f"It holds {array.dtype}; features are real numbers.", field=name)
        return np.zeros(array.shape, np.float32)
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(array, np.float32)
    if found.ndim == 2 and (bad := np.flatnonzero(~np.isfinite(found).all(axis=1))).size:
        message = f"{len(bad)} rows hold NaN or infinite values, such as {_some(bad)} (counted from 0). Leave them out."
        log.add("not_finite", message, field=name)
    return found


def _labels(name: str, array: NDArray, log: ProblemLog) -> NDArray[np.int64]:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # as the published code stores them
    if array.ndim != 1 or not array.size:
        log.add("wrong_shape", f"It has shape {array.shape}; give one label per image.", field=name)
    if array.dtype.kind not in "iu":
        log.add("wrong_type", f"It holds {array.dtype}; labels are whole numbers (int64).", field=name)
        return np.zeros(array.shape, np.int64)
    if (array > np.iinfo(np.int64).max).any() or (array < 0).any():
        log.add("wrong_label", "Labels are numbers from 0; leave images without a label out.", field=name)
    return array.astype(np.int64)


def _compare(features: dict[str, NDArray[np.float32]], labels: dict[str, NDArray[np.int64]], log: ProblemLog) -> None:
    for side in ("train", "test"):
        x, y = features.get(f"{side}_x"), labels.get(f"{side}_y")
        if x is not None and y is not None and x.ndim and y.ndim and len(x) != len(y):
            log.add("wrong_shape", f"{side}_x has {len(x)} rows and {side}_y {len(y)} labels; give one label per row.")
    if len(features) == 2 and (widths := {x.shape[1] for x in features.values() if x.ndim == 2}) and len(widths) > 1:
        log.add("wrong_shape", f"train_x and test_x have {' and '.join(map(str, sorted(widths)))} features per image; "
                               "give both by the same encoder.")  # fmt: skip
    if (y := labels.get("train_y")) is None or log:
        return  # what labels mean is not worth a word while they are not labels
    if len(classes := np.unique(y)) < 2:
        log.add("one_class", "All images are of one class. A head tells two or more apart.", field="train_y")
    if "test_y" in labels and len(strange := np.setdiff1d(labels["test_y"], classes)):
        message = f"{len(strange)} of its classes have no image in train_y, such as {_some(strange)}. Leave them out."
        log.add("unknown_label", message, field="test_y")


def _some(values: NDArray) -> str:
    return ", ".join(map(str, values[:SHOWN].tolist()))
