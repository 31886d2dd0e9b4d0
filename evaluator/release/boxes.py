"""What a box is, wherever boxes are read. In: a box's class and corners; out: whether it is one, and cut to an image.

A box is a mapping with `class`, x1, y1, x2, y2 in pixels of the stored image; (0, 0) is its upper left corner.
"""

from collections.abc import Mapping
from typing import Any

COORDINATES = ("x1", "y1", "x2", "y2")
MAX_BOXES = 1_000  # of one image, in answers
MAX_CLASSES = 1_000  # of one dataset
FARTHEST = 1e8  # from the corner of an image, in pixels; beyond it areas would leave the numbers
ONLY_CLASS = "object"  # where a dataset names no classes


def is_proper(box: Mapping[str, Any]) -> bool:
    """Whether its corners are finite numbers with x1 < x2 and y1 < y2."""
    x1, y1, x2, y2 = corners = [box[name] for name in COORDINATES]
    if any(corner is None or not abs(corner) <= FARTHEST for corner in corners):  # NaN compares false
        return False
    return x1 < x2 and y1 < y2


def cut(box: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    """The box within the image; not proper any more when it lies outside."""
    edges = {"x1": width, "y1": height, "x2": width, "y2": height}
    return {**box, **{name: min(max(box[name], 0.0), float(edge)) for name, edge in edges.items()}}
