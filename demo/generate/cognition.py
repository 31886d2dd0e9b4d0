"""A small cognition set: questions whose answers take more than a glance. In: a plan and its drawing; out: questions.

Every answer is counted or measured from the boxes of what was drawn. Images on which it would be a close call are not
asked about; nothing here draws a random number, so that neither pixels nor other questions depend on it.
"""

import uuid
from collections.abc import Callable
from typing import Any

from demo.generate.drawing import Box, Drawing
from demo.generate.plan import ImagePlan
from demo.generate.questions import NAMESPACE

COGNITION_KINDS = ("cognition_0", "cognition_1")
EVERY = 3  # of a dataset's images, one in so many is asked about
COUNTS = ((8, "fewer than 8"), (15, "8 to 14"), (25, "15 to 24"))
MOST = "25 or more"
TWICE = 2.0
CLOSE = 0.15  # ratios this near to twice are not asked about


def ask_experts(plan: ImagePlan, drawing: Drawing) -> dict[str, Any]:
    """The entries `cognition_<i>` of an image's `questions` column; null where it is not asked."""
    asked = ASKED.get(plan.dataset, {}) if plan.number % EVERY == 0 else {}
    return {kind: _question(plan, kind, *asked[kind], drawing) if kind in asked else None for kind in COGNITION_KINDS}


def _question(
    plan: ImagePlan, kind: str, text: str, options: tuple[str, ...], answer: Callable[[Drawing], str | None],
    drawing: Drawing,
) -> dict[str, Any] | None:  # fmt: skip
    right = answer(drawing)
    if right is None:
        return None
    return {
        "id": str(uuid.uuid5(NAMESPACE, f"{plan.dataset}/{plan.image_id}/{kind}")), "name": kind, "question": text,
        "options": list(options), "answer": right, "answer_idx": options.index(right),
    }  # fmt: skip


def _count(drawing: Drawing) -> str:
    return next((words for bound, words in COUNTS if len(drawing.boxes) < bound), MOST)


def _compare_sizes(drawing: Drawing) -> str | None:
    areas = [(box.x2 - box.x1) * (box.y2 - box.y1) for box in drawing.boxes]
    ratio = max(areas) / min(areas)
    return None if abs(ratio - TWICE) < CLOSE else SIZES[0] if ratio > TWICE else SIZES[1]


def _compare_halves(drawing: Drawing) -> str:
    middle = drawing.image.shape[1] / 2
    left = sum(_centre(box) < middle for box in drawing.boxes)
    right = sum(_centre(box) > middle for box in drawing.boxes)
    return HALVES[2] if left == right else HALVES[0] if left > right else HALVES[1]


def _centre(box: Box) -> float:
    return (box.x1 + box.x2) / 2


SIZES = ("more than twice the area", "less than twice the area of the smallest")
HALVES = ("the left half", "the right half", "equally many in both")
# dataset -> kind -> question, options, how the answer is found
ASKED: dict[str, dict[str, tuple[str, tuple[str, ...], Callable[[Drawing], str | None]]]] = {
    "nuclei_density": {
        "cognition_0": ("How many nuclei lie in this field of view?", (*(words for _, words in COUNTS), MOST), _count),
        "cognition_1": (
            "Draw an upright box around every nucleus. How does the largest box compare with the smallest?",
            SIZES, _compare_sizes,
        ),
    },
    "mitochondria_sbfsem": {
        "cognition_0": (
            "In which half of this image do the centres of more mitochondria lie?", HALVES, _compare_halves
        ),
    },
}  # fmt: skip
