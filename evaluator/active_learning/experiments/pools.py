"""A pool with its labels in one file. In: POOL.npz; out: LabelledPool, or every error at once. Torch-free.

Arrays: train_x (n, d) features of the pool, train_y (n,) its labels, test_x (m, d), test_y (m,) what heads are scored
on. Labels are any whole numbers from 0; classes are those of train_y, in ascending order.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.checks import checked_features
from evaluator.active_learning.tasks import Data
from evaluator.errors import InputError, ProblemLog

NAMES = ("train_x", "train_y", "test_x", "test_y")
SHOWN = 5  # classes named in a message


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledPool:
    """data: what heads are trained on and asked about; right: (m,) classes of the evaluated images, 0 … C − 1."""

    data: Data
    right: NDArray[np.int64]


def read_pool(path: Path) -> LabelledPool:
    """Raises InputError with everything that is wrong with the file; nothing in it is ever unpickled."""
    arrays, log = _read_arrays(path), ProblemLog()
    for name in NAMES:
        if name not in arrays:
            log.add("missing_array", f"The file has no such array. It needs {', '.join(NAMES)}.", field=name)
    features = {name: _features(name, array, log) for name, array in arrays.items() if name.endswith("_x")}
    labels = {name: _labels(name, array, log) for name, array in arrays.items() if name.endswith("_y")}
    _compare_shapes(arrays, log)
    log.raise_if_any()
    classes = _classes(labels, log)
    log.raise_if_any()
    data = Data(
        pool=features["train_x"], labels=np.searchsorted(classes, labels["train_y"]), evaluated=features["test_x"],
        n_classes=len(classes),
    )  # fmt: skip
    return LabelledPool(data=data, right=np.searchsorted(classes, labels["test_y"]))


def _read_arrays(path: Path) -> dict[str, NDArray]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array without a name")
        with loaded as file:
            return {name: file[name] for name in NAMES if name in file}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        message = f"{path} is not a file of arrays ({error}). Write it with numpy.savez: {', '.join(NAMES)}."
        raise InputError.single("pool_unreadable", message) from error


def _features(name: str, array: NDArray, log: ProblemLog) -> NDArray[np.float32]:
    try:
        return checked_features(array)
    except InputError as error:
        for problem in error.problems:
            log.add(problem.code, problem.message, field=name)
        return np.empty((0, 0), np.float32)


def _labels(name: str, array: NDArray, log: ProblemLog) -> NDArray[np.int64]:
    array = array[:, 0] if _is_column(array) else array
    if array.ndim != 1 or array.dtype.kind not in "iu":
        message = f"Labels are an array of {array.dtype} of shape {array.shape}. Give one whole number per image."
        log.add("labels_not_whole_numbers", message, field=name)
        return np.empty(0, np.int64)
    if (array < 0).any() or (array > np.iinfo(np.int64).max).any():
        log.add("wrong_label", "Labels are numbers from 0. Leave images without a label out.", field=name)
    return array.astype(np.int64)


def _is_column(array: NDArray) -> bool:
    return array.ndim == 2 and array.shape[1] == 1  # as the published code stores labels


def _compare_shapes(arrays: dict[str, NDArray], log: ProblemLog) -> None:
    for side in ("train", "test"):
        rows = {len(arrays[name]) for name in (f"{side}_x", f"{side}_y") if name in arrays and arrays[name].ndim}
        if len(rows) > 1:
            message = f"There are {len(arrays[f'{side}_x'])} rows of features and {len(arrays[f'{side}_y'])} labels. "
            log.add("wrong_shape", message + "Give one label per row.", field=f"{side}_y")
    widths = [array.shape[1] for name, array in arrays.items() if name.endswith("_x") and array.ndim == 2]
    if len(set(widths)) > 1:
        message = f"train_x and test_x have {' and '.join(map(str, widths))} features. Embed both by one encoder."
        log.add("wrong_shape", message, field="test_x")


def _classes(labels: dict[str, NDArray[np.int64]], log: ProblemLog) -> NDArray[np.int64]:
    """Those of the pool, ascending."""
    classes = np.unique(labels["train_y"])
    if len(classes) < 2:
        log.add("one_class", "All images are of one class. A head tells two or more apart.", field="train_y")
    strange = np.setdiff1d(labels["test_y"], classes)
    if len(strange):
        named = ", ".join(map(str, strange[:SHOWN].tolist()))
        message = f"{len(strange)} of its classes have no image in train_y ({named} …). Leave their images out."
        log.add("unknown_label", message, field="test_y")
    return classes
