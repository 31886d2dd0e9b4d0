"""GRIT localisation: how well predicted boxes cover true ones. In: boxes as arrays; out: a mark in [0, 1]. Pure.

A box is (x1, y1, x2, y2) in pixels, x1 < x2 and y1 < y2. Source: GRIT (arXiv 2204.13653), as µ-Bench's authors use it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Boxes = NDArray[np.float64]  # (n, 4)


def overlaps(predicted: Boxes, true: Boxes) -> NDArray[np.float64]:
    """(P, T) intersection over union of every pair."""
    low = np.maximum(predicted[:, None, :2], true[None, :, :2])
    high = np.minimum(predicted[:, None, 2:], true[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=-1)
    union = _areas(predicted)[:, None] + _areas(true)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)  # 0 where areas are too small to hold


def class_mark(predicted: Boxes, true: Boxes) -> float:
    """The mark of one class on one image: Σ IoU of the best matching / (predicted + missed).

    Matched one to one by the Hungarian method on 1 − IoU; missed are the true boxes left without a partner. 1 when
    there are neither, 0 when there is only one kind. Scores of boxes have no part in it.
    """
    if not len(predicted) or not len(true):
        return float(len(predicted) == len(true))
    shares = overlaps(predicted, true)
    matched = linear_sum_assignment(1.0 - shares)
    missed = len(true) - len(matched[1])
    return float(shares[matched].sum() / (len(predicted) + missed))


def image_mark(predicted: Mapping[str, Boxes], true: Mapping[str, Boxes], classes: Sequence[str]) -> float:
    """The mean of the marks of every class asked for on one image; a class that a mapping lacks has no box."""
    none = np.empty((0, 4))
    return float(np.mean([class_mark(predicted.get(name, none), true.get(name, none)) for name in classes]))


def _areas(boxes: Boxes) -> NDArray[np.float64]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
