"""GRIT against its definition: every way of matching tried, one box at a time."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.scoring.grit import class_mark

Box = tuple[float, float, float, float]


def slow_iou(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0.0
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_mark(predicted: list[Box], true: list[Box]) -> float:
    if not predicted and not true:
        return 1.0
    if not predicted or not true:
        return 0.0
    few, many = sorted((predicted, true), key=len)
    best = max(sum(map(slow_iou, few, chosen)) for chosen in permutations(many, len(few)))
    return best / (len(predicted) + max(0, len(true) - len(predicted)))


side = st.tuples(st.integers(0, 8), st.integers(1, 5)).map(lambda s: (float(s[0]), float(s[0] + s[1])))
boxes = st.lists(st.tuples(side, side).map(lambda s: (s[0][0], s[1][0], s[0][1], s[1][1])), max_size=5)


@settings(max_examples=400, deadline=None)
@given(boxes, boxes)
def test_marks_equal_trying_every_matching(predicted: list[Box], true: list[Box]) -> None:
    mark = class_mark(*(np.array(found, dtype=np.float64).reshape(-1, 4) for found in (predicted, true)))
    assert mark == pytest.approx(slow_mark(predicted, true), abs=1e-12) and 0 <= mark <= 1 + 1e-12


def test_boxes_too_small_to_have_an_area_overlap_nothing() -> None:
    dot = np.array([[0.0, 0.0, 1e-200, 1e-200]])
    assert class_mark(dot, dot) == 0.0
