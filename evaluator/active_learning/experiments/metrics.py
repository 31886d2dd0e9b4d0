"""What a head's answers are worth, and what a curve of them is. In: right classes, answers; out: numbers. Torch-free.

`right`: (m,) int64. `chosen`: (…, m) int64 and `chances`: (…, m, C) may have leading axes (seeds, budgets), which the
result keeps. Classes absent from the evaluated images are left out of every average over classes. A right class of −1
is one that the head cannot name: wrong wherever images are counted, and a class with nothing found where classes are.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
BINS = 15


def accuracy(right: NDArray, chosen: NDArray) -> Floats:
    """(…,) the share of images that are named rightly."""
    return np.mean(np.asarray(chosen) == right, axis=-1)


def recalls(right: NDArray, chosen: NDArray) -> Floats:
    """(…, classes present) the share of each class's images that are named rightly, classes in ascending order."""
    _, class_of, sizes = np.unique(right, return_inverse=True, return_counts=True)
    members = np.eye(len(sizes))[class_of] / sizes
    return (np.asarray(chosen) == right).astype(np.float64) @ members


def balanced_accuracy(right: NDArray, chosen: NDArray) -> Floats:
    """(…,) the mean recall of the classes present."""
    return recalls(right, chosen).mean(axis=-1)


def worst_class_recall(right: NDArray, chosen: NDArray) -> Floats:
    """(…,) the recall of the class that is named worst."""
    return recalls(right, chosen).min(axis=-1)


def macro_f1(right: NDArray, chosen: NDArray) -> Floats:
    """(…,) the mean over the classes present of 2·hits / (images of the class + answers naming it)."""
    chosen = np.asarray(chosen)
    classes, sizes = np.unique(right, return_counts=True)
    hits = recalls(right, chosen) * sizes
    answers = np.stack([np.count_nonzero(chosen == one, axis=-1) for one in classes], axis=-1)
    return np.mean(2 * hits / (sizes + answers), axis=-1)


def macro_auroc(right: NDArray, chances: NDArray) -> Floats:
    """(…,) the mean over classes of the area under the ROC curve, one class against the rest; ties count half.

    A class without images, or without others to compare with, is left out; NaN when that leaves none.
    """
    chances = np.asarray(chances)
    is_member = np.asarray(right)[:, None] == np.arange(chances.shape[-1])
    members = is_member.sum(axis=0)
    others = len(is_member) - members
    with_both = (members > 0) & (others > 0)
    if not with_both.any():
        return np.full(chances.shape[:-2], np.nan)
    ranks = rankdata(chances[..., with_both], axis=-2)
    members, others = members[with_both], others[with_both]
    won = (ranks * is_member[:, with_both]).sum(axis=-2) - members * (members + 1) / 2
    return np.mean(won / (members * others), axis=-1)


def calibration_error(right: NDArray, chances: NDArray, bins: int = BINS) -> Floats:
    """(…,) expected calibration error: |confidence − accuracy| in equal bins (low, high] of the confidence, averaged by
    how many images fall into each (Guo et al. 2017)."""
    chances = np.asarray(chances)
    confidence = chances.max(axis=-1).astype(np.float64)
    surplus = confidence - (chances.argmax(axis=-1) == right)
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    sums = [np.where(place == number, surplus, 0).sum(axis=-1) for number in range(bins)]
    return np.abs(sums).sum(axis=0) / len(right)


def classes_found(labels: NDArray) -> NDArray[np.int64]:
    """(…,) how many classes are among the labels (…, k) held."""
    in_order = np.sort(labels, axis=-1)
    return 1 + np.count_nonzero(np.diff(in_order, axis=-1), axis=-1)


def aulc_linear(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """(…,) area under the learning curve: trapezoid over labels held, divided by their range.

    labels: (k,) ascending; scores: (…, k). A curve of one point is worth its score.
    """
    return _mean_height(np.asarray(labels, np.float64), np.asarray(scores, np.float64))


def aulc_log2(labels: ArrayLike, scores: ArrayLike, n_classes: int) -> Floats:
    """(…,) the same over log2 of the labels, of scores freed of chance: (score − 1/C) / (1 − 1/C). 1 is perfect, 0 is
    chance; each doubling of the labels weighs the same. n_classes ≥ 2."""
    chance = 1 / n_classes
    freed = (np.asarray(scores, np.float64) - chance) / (1 - chance)
    return _mean_height(np.log2(np.asarray(labels, np.float64)), freed)


def _mean_height(places: Floats, heights: Floats) -> Floats:
    if len(places) == 1:
        return heights[..., 0]
    widths = np.diff(places)
    if not (widths > 0).all():
        raise ValueError("labels held must ascend")
    return ((heights[..., 1:] + heights[..., :-1]) / 2 * widths).sum(axis=-1) / widths.sum()
