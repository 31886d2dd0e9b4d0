"""Which shares checkpoints may have in a merge. Torch-free: the process that starts a sandbox checks them too."""

from collections.abc import Sequence
from math import fsum, isfinite

from evaluator.errors import InputError

MAX_PARTS = 32
WEIGHT_SLACK = 1e-6  # of the sum of weights


def check_mixture(weights: Sequence[float]) -> None:
    """Raise InputError `merge_weights` unless these are shares of 2 … MAX_PARTS checkpoints that sum to 1."""
    if not 2 <= len(weights) <= MAX_PARTS:
        message = f"A merge is made of 2 to {MAX_PARTS} checkpoints; these are {len(weights)}."
    elif not all(isfinite(weight) and 0 <= weight <= 1 for weight in weights):
        message = "The weight of each checkpoint in a merge is a number from 0 to 1."
    elif abs(fsum(weights) - 1) > WEIGHT_SLACK:
        message = f"The weights of a merge must sum to 1; these sum to {fsum(weights):g}."
    else:
        return
    raise InputError.single("merge_weights", message, field="weights")
