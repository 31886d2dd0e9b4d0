"""Which boxes are kept: equal to the slow definition, and within the image."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from evaluator.detectors.boxes import OFFICIAL, BoxRules, keep_boxes, suppress
from evaluator.detectors.detector import Places
from tests.evaluator.detectors import slow_loop

SIDES = st.integers(1, 12)
DRAWN = st.tuples(st.integers(0, 20), st.integers(0, 20), SIDES, SIDES, st.integers(0, 5), st.integers(0, 2))


def places(boxes: list[tuple[float, ...]], logits: list[tuple[float, ...]]) -> Places:
    return Places(boxes=np.array(boxes, np.float32), logits=np.array(logits, np.float32))


@given(st.lists(DRAWN, max_size=25))
def test_suppression_equals_the_slow_definition(drawn: list[tuple[int, ...]]) -> None:
    boxes = [
        {"x1": x, "y1": y, "x2": x + w, "y2": y + h, "score": score / 5, "class": name, "place": place}
        for place, (x, y, w, h, score, name) in enumerate(drawn)
    ]
    corners = np.array([[box[side] for side in ("x1", "y1", "x2", "y2")] for box in boxes], float).reshape(-1, 4)
    scores, classes = (np.array([box[name] for box in boxes], float) for name in ("score", "class"))
    kept = suppress(corners, scores, classes.astype(np.int64), OFFICIAL)
    assert kept.tolist() == [box["place"] for box in slow_loop.best_of_each_thing(boxes)]


def test_each_place_goes_to_its_best_class_above_the_threshold() -> None:
    boxes = keep_boxes(
        places([(0, 0, 4, 4), (10, 10, 14, 14), (20, 20, 24, 24)], [(1.0, 2.0), (3.0, -1.0), (-2.3, -9.0)]),
        ["round", "long"], (30, 30),
    )  # fmt: skip
    assert [(box["class"], box["x1"]) for box in boxes] == [("round", 10.0), ("long", 0.0)]  # -2.3 is a score of 0.09
    assert abs(boxes[0]["score"] - 1 / (1 + np.exp(-3.0))) < 1e-12


def test_boxes_end_at_the_image_and_those_outside_are_none() -> None:
    """A landscape image is padded below: what the model sees there is in no image."""
    seen = places([(-5, -5, 15, 8), (2, 12, 6, 16), (3, 10, 9, 20)], [(5.0,), (4.0,), (3.0,)])
    boxes = keep_boxes(seen, ["cell"], (12, 10))
    assert [[box[side] for side in ("x1", "y1", "x2", "y2")] for box in boxes] == [[0, 0, 12, 8]]


def test_overlap_counts_within_a_class_only_and_after_cutting() -> None:
    seen = places([(0, 0, 10, 10), (1, 0, 11, 10), (0, 0, 10, 10), (8, 8, 40, 40)], [(5, 0), (4, 0), (0, 3), (2, 0)])
    boxes = keep_boxes(seen, ["a", "b"], (11, 11))
    assert [(box["class"], box["x1"]) for box in boxes] == [("a", 0), ("b", 0), ("a", 8)]


def test_at_most_so_many_the_best() -> None:
    seen = places([(5 * i, 0, 5 * i + 4, 4) for i in range(50)], [(float(i),) for i in range(50)])
    boxes = keep_boxes(seen, ["cell"], (300, 300), BoxRules(at_most=7))
    assert [box["x1"] for box in boxes] == [5.0 * i for i in range(49, 42, -1)]


def test_extreme_scores_are_numbers() -> None:
    boxes = keep_boxes(places([(0, 0, 4, 4), (5, 5, 9, 9)], [(3e38,), (-3e38,)]), ["cell"], (10, 10))
    assert [box["score"] for box in boxes] == [1.0]
