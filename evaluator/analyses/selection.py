"""Which α to take. In: means per α on the split where it may be chosen; out: the place of an α, by a stated rule."""

import numpy as np
from numpy.typing import NDArray

SAME = 1e-12  # means that differ by less are tied: the same answers summed in another order
ONE_POINT = 0.01
BEST_MACRO = "best macro on the split of selection; ties: the smallest alpha"
WITHIN_ONE_POINT = (
    "best macro on the split of selection among the alphas whose mean inside the target is there at most one point "
    "below the tuned model's; ties: the smallest alpha"
)


def best_macro(macro: NDArray[np.float64]) -> int:
    """The place of the largest of `macro` (A,), which are in ascending order of α; ties: the smallest α."""
    return int(np.flatnonzero(macro >= macro.max() - SAME)[0])


def within_one_point(macro: NDArray[np.float64], inside: NDArray[np.float64]) -> int:
    """The same among those whose mean `inside` (A,) the target is at most one point below that of the last, α = 1."""
    allowed = inside >= inside[-1] - ONE_POINT - SAME
    return best_macro(np.where(allowed, macro, -np.inf))
