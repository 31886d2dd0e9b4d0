"""What a scene returns: an image and the boxes of what it drew."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo.generate.shapes import Blob


@dataclass(frozen=True, kw_only=True)
class Box:
    """One instance in pixels of the image."""

    name: str
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """`image` is uint8, grey (height, width) or colour (height, width, 3)."""

    image: np.ndarray
    boxes: tuple[Box, ...] = ()
    submodality: str | None = None  # where a dataset holds images of two submodalities


# label, style (seeded by the source: the same for all images cut from it), rng (seeded by the image)
Scene = Callable[[str, np.random.Generator, np.random.Generator], Drawing]


def boxes_of(name: str, shapes: list[Blob]) -> tuple[Box, ...]:
    """The boxes of the shapes that lie on the canvas."""
    found = [shape.box() for shape in shapes]
    return tuple(Box(name=name, x1=b[0], y1=b[1], x2=b[2], y2=b[3]) for b in found if b is not None)
