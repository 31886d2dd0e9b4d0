"""From embeddings to chosen options: pure functions on arrays. Knows no model, file or device."""

import numpy as np
import torch

from evaluator.answering.options import TIE, choose

__all__ = ["TIE", "choose", "cosines", "pairs_of"]

ROWS_AT_ONCE = 2_048
PAIRS_AT_ONCE = 16_384
WASTE = 24  # a product that is thrown away costs this much less than a pair fetched by itself
MAX_PRODUCTS = 2**24


def cosines(
    images: np.ndarray,
    texts: np.ndarray,
    image_of: np.ndarray,
    text_of: np.ndarray,
    offsets: np.ndarray,
    group_of: np.ndarray | None = None,
) -> np.ndarray:
    """Cosine of every (row, option) pair, shape (pairs,), float32.

    images (n, d), texts (m, d): unit-length float32. image_of (rows,), text_of (pairs,): places in them. offsets
    (rows + 1,): row r owns the pairs offsets[r]:offsets[r + 1]. group_of (rows,): rows of one group share many texts;
    it changes the time, not the result.

    The rows of one group and image lie together, so a block of them needs few images and few texts: their matrix
    product gives all of the block's pairs and others, in less time than fetching each pair's two vectors. It is torch's
    product because numpy's threads spin, which takes ten times as long beside other work.
    """
    order = np.lexsort((image_of,) if group_of is None else (image_of, group_of))
    found = np.empty(len(text_of), np.float32)
    place_of = np.empty(len(texts), np.intp)
    for start in range(0, len(order), ROWS_AT_ONCE):
        rows = order[start : start + ROWS_AT_ONCE]
        pairs, row_of_pair = pairs_of(rows, offsets)
        seen, image_of_row = np.unique(image_of[rows], return_inverse=True)
        image_of_pair, text_of_pair = image_of_row[row_of_pair], text_of[pairs]
        is_used = np.zeros(len(texts), bool)
        is_used[text_of_pair] = True
        used = np.flatnonzero(is_used)
        if len(seen) * len(used) > min(WASTE * len(pairs), MAX_PRODUCTS):
            _pair_by_pair(images[seen], texts, image_of_pair, text_of_pair, pairs, found)
            continue
        place_of[used] = np.arange(len(used))
        products = (torch.from_numpy(images[seen]) @ torch.from_numpy(texts[used]).T).numpy()
        found[pairs] = products[image_of_pair, place_of[text_of_pair]]
    return found


def pairs_of(rows: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of `rows`, and for each the place in `rows` it belongs to."""
    lengths = offsets[rows + 1] - offsets[rows]
    row_of_pair = np.repeat(np.arange(len(rows)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + (offsets[rows] - before)[row_of_pair], row_of_pair


def _pair_by_pair(
    images: np.ndarray, texts: np.ndarray, image_of: np.ndarray, text_of: np.ndarray, pairs: np.ndarray,
    found: np.ndarray,
) -> None:  # fmt: skip
    """For rows that share no texts. Writes found[pairs]; image_of and text_of are of those pairs."""
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        found[pairs[part]] = np.einsum("pd,pd->p", images[image_of[part]], texts[text_of[part]])
