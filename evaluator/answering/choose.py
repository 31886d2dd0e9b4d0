"""From embeddings to chosen options: pure functions on arrays. Knows no model, file or device."""

import numpy as np

from evaluator.answers import ABSTAINED

TIE = 1e-6
PAIRS_AT_ONCE = 65_536


def cosines(
    images: np.ndarray, texts: np.ndarray, image_of: np.ndarray, text_of: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Cosine of every (row, option) pair, shape (pairs,), float32.

    images (n, d), texts (m, d): unit-length float32. image_of (rows,), text_of (pairs,): places in them. offsets
    (rows + 1,): row r owns the pairs offsets[r]:offsets[r + 1].
    """
    image_of_pair = np.repeat(image_of, np.diff(offsets))
    found = np.empty(len(text_of), np.float32)
    for start in range(0, len(text_of), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        np.einsum("pd,pd->p", images[image_of_pair[part]], texts[text_of[part]], out=found[part])
    return found


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
