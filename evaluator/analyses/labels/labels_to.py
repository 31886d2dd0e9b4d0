"""How many labels a curve needs to reach a target. In: curves and targets; out: labels held, with an interval.

A target that no budget reaches is a censored value, not a number: it is said so, and an end of an interval that lies
beyond the last budget is null.
"""

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
BLANK: dict[str, Any] = dict.fromkeys(("labels", "low", "high"))


class Reached(StrEnum):
    """Whether and where a curve reaches its target."""

    REACHED = "reached"
    AT_ONCE = "from the first"  # the first budget is enough; fewer were not tried
    NOT_REACHED = "not reached"
    NOT_APPLICABLE = "not applicable"  # there is no target


def crossing(labels: ArrayLike, scores: Floats, target: Floats | float) -> Floats:
    """(…,) labels at which each curve first reaches its target: interpolated on log2 labels, the first budget where
    that is enough, ∞ where none is.

    labels: (K,) ascending; scores: (…, K); target: (…,).
    """
    held, goal = np.asarray(labels, np.float64), np.asarray(target, np.float64)[..., None]
    places = np.log2(held)
    enough = scores >= goal
    first = enough.argmax(axis=-1)[..., None]
    before = np.maximum(first - 1, 0)
    low, high = np.take_along_axis(scores, before, axis=-1), np.take_along_axis(scores, first, axis=-1)
    share = np.where(high > low, (goal - low) / np.where(high > low, high - low, 1), 0.0)
    between = 2.0 ** (places[before] + share * (places[first] - places[before]))
    found = np.where(first > 0, between, held[0])[..., 0]  # the first budget to the digit: it is compared with
    return np.where(enough.any(axis=-1), found, np.inf)


def labels_to(
    labels: ArrayLike, scores: Floats, replicates: Floats, target: float | None, target_replicates: Floats | float
) -> dict[str, Any]:
    """{labels, low, high, state} of a curve (K,) with replicates (B, K); the target may vary with them, (B,)."""
    if target is None:
        return BLANK | {"state": str(Reached.NOT_APPLICABLE)}
    found = float(crossing(labels, scores, target))
    # No two replicates are averaged: an end is one of them, or lies beyond the last budget.
    drawn = np.sort(crossing(labels, replicates, target_replicates))
    low, high = (_end(drawn, share) for share in (0.025, 0.975))
    first = float(np.asarray(labels)[0])
    state = Reached.NOT_REACHED if np.isinf(found) else Reached.AT_ONCE if found <= first else Reached.REACHED
    return {"labels": None if np.isinf(found) else found, "low": low, "high": high, "state": str(state)}


def _end(drawn: Floats, share: float) -> float | None:
    value = float(np.quantile(drawn, share, method="nearest"))
    return None if np.isinf(value) else value
