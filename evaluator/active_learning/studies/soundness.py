"""Can anything be learned from these embeddings? In: Data; out: nothing, or InputError with the reason. Torch-free."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.checks import checked_features
from evaluator.active_learning.studies.orders import budgets_for, label_orders
from evaluator.active_learning.tasks import CurveTask, Data
from evaluator.errors import InputError

SAME = 1e-6  # of the largest value: embeddings of one image, computed twice, differ by less


def sound(data: Data) -> Data:
    """The same, features as float32.

    Raises InputError: what `checked_features` raises, `one_class`, `other_dimensions`, `equal_features`; ValueError
    where labels are no classes of it, which is a bug.
    """
    pool, evaluated = (_checked(name, getattr(data, name)) for name in ("pool", "evaluated"))
    labels = np.asarray(data.labels)
    if labels.shape != (len(pool),) or labels.min() < 0 or labels.max() >= data.n_classes:
        raise ValueError(f"labels of shape {labels.shape} are not the classes of {len(pool)} images")
    if len(np.unique(labels)) < 2:
        message = "All images that may be labelled are of one class. Label efficiency needs two or more to tell apart."
        raise InputError.single("one_class", message)
    if pool.shape[1] != evaluated.shape[1]:
        message = (f"Embeddings of images that may be labelled have {pool.shape[1]} numbers, those of evaluated images "
                   f"{evaluated.shape[1]}. Embed both with the same checkpoint.")  # fmt: skip
        raise InputError.single("other_dimensions", message)
    if (np.abs(pool - pool[0]) <= SAME * np.abs(pool).max()).all():
        message = "All images that may be labelled have the same embedding, so no head can tell them apart."
        raise InputError.single("equal_features", message)
    return replace(data, pool=pool, evaluated=evaluated)


def curve_task(data: Data, ids: Sequence[str], *, seeds: Sequence[int], salt: str) -> CurveTask:
    """What is asked of an encoder on one dataset. ids: of the pool's rows; salt: names release and dataset, so that
    orders are the same for every encoder.

    Raises InputError as `sound` does, and `pool_too_small` where not even one label per class fits in half the pool.
    """
    data = sound(data)
    budgets = budgets_for(len(data.pool), data.n_classes)
    if not budgets.labels:
        raise InputError.single("pool_too_small", budgets.reason or "")
    orders = label_orders(ids, seeds, salt)
    return CurveTask(
        data=data, budgets=budgets.labels, orders=np.ascontiguousarray(orders[:, : budgets.labels[-1]]),
        seeds=tuple(seeds),
    )  # fmt: skip


def _checked(name: str, features: NDArray) -> NDArray[np.float32]:
    if not len(features):
        which = "that may be labelled" if name == "pool" else "to evaluate on"
        raise InputError.single("no_images", f"There are no images {which}.")
    return checked_features(features)
