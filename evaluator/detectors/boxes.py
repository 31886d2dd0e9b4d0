"""Which boxes of an image are an answer. In: Places; out: boxes. Pure functions on arrays.

The reference post-processing of transformers gives each place to its best class and keeps those above a score. Metrics
that count every box beside the mark need more: the image's edge, and one box per thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.detectors.detector import Places
from evaluator.release.boxes import COORDINATES, MAX_BOXES


@dataclass(frozen=True, kw_only=True)
class BoxRules:
    """The defaults are the official run: transformers' own thresholds for OWL models.

    A box is kept when its score is above `score_above` and it overlaps no better box of its class by more than
    `overlap_above` (intersection over union); of these the `at_most` best.
    """

    score_above: float = 0.1
    overlap_above: float = 0.3
    at_most: int = MAX_BOXES


OFFICIAL = BoxRules()


def keep_boxes(
    places: Places, classes: Sequence[str], size: tuple[int, int], rules: BoxRules = OFFICIAL
) -> list[dict[str, Any]]:
    """Values of ANSWER_BOX, best score first. classes: what the columns of `places.logits` stand for; size: (width,
    height) of the image in pixels. Boxes end at its edges; what lies beyond them is no box."""
    class_of = places.logits.argmax(axis=1)
    logits = places.logits.max(axis=1)  # these tell the best apart where their scores round to 1
    scores = _sigmoid(logits)
    boxes = np.clip(places.boxes.astype(np.float64), 0, np.tile(size, 2))
    is_box = (boxes[:, :2] < boxes[:, 2:]).all(axis=1) & (scores > rules.score_above)
    boxes, scores, class_of = boxes[is_box], scores[is_box], class_of[is_box]
    kept = suppress(boxes, logits[is_box], class_of, rules)
    return [
        {"class": classes[class_of[i]], **dict(zip(COORDINATES, boxes[i].tolist(), strict=True)),
         "score": float(scores[i])}
        for i in kept
    ]  # fmt: skip


def suppress(
    boxes: NDArray[np.float64], scores: NDArray[np.floating], class_of: NDArray[np.int64], rules: BoxRules
) -> NDArray[np.int64]:
    """The places of the boxes to keep, best first: greedy non-maximum suppression within each class. Of equal scores
    the earlier is better. boxes (n, 4): x1, y1, x2, y2 of positive area; scores, class_of: (n,)."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left) and len(kept) < rules.at_most:
        best, left = left[0], left[1:]
        kept.append(int(best))
        sides = np.minimum(boxes[left, 2:], boxes[best, 2:]) - np.maximum(boxes[left, :2], boxes[best, :2])
        shared = np.clip(sides, 0, None).prod(axis=1)
        overlap = shared / (areas[left] + areas[best] - shared)
        left = left[(overlap <= rules.overlap_above) | (class_of[left] != class_of[best])]
    return np.array(kept, np.int64)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0, -logits.astype(np.float64)))
