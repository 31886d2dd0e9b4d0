"""From the scores of options to the one chosen. In, out: arrays. Torch-free: analyses choose by the same rule."""

import numpy as np

from evaluator.answers import ABSTAINED

TIE = 1e-6


def choose(scores: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The option with the highest score in each row, shape (rows,), int16.

    scores (pairs,): finite. Every row has at least one option. A row whose two best scores differ by at most TIE gets
    ABSTAINED, which is never right: the order of options must not decide. A single option is chosen.
    """
    starts, lengths = offsets[:-1], np.diff(offsets)
    if (lengths < 1).any():
        raise ValueError("every question needs at least one option")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinite values")
    best = np.maximum.reduceat(scores, starts)
    places = np.arange(len(scores))
    is_best = scores == np.repeat(best, lengths)
    first_best = np.minimum.reduceat(np.where(is_best, places, len(scores)), starts)
    others = scores.astype(np.float64)
    others[first_best] = -np.inf
    second = np.maximum.reduceat(others, starts)
    return np.where(best - second <= TIE, ABSTAINED, first_best - starts).astype(np.int16)
