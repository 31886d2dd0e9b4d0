"""The logit-space ensemble of two models. In: their scores per option; out: the options it chooses. Torch-free.

It needs no merged weights, so it is what a merge has to be compared with (Wortsman et al. 2022, WiSE-FT).
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluator.answering.options import choose


def ensemble_choices(
    base: pa.Table, tuned: pa.Table, alphas: NDArray[np.float64], *, base_scale: float, tuned_scale: float
) -> NDArray[np.float64] | None:
    """(A, n) the option that (1−α)·base_scale·s_base + α·tuned_scale·s_tuned chooses at each α; NaN = not asked.

    base, tuned: ANSWERS of the same n questions in the same order. Scales are the factors of the logits (not their
    logarithms). A row is tied when its two best sums differ by at most TIE × the summed scale. None where a row that
    was asked has no scores, or other numbers of them.
    """
    asked = pc.is_valid(base["chosen"]).to_numpy()
    if not (asked == pc.is_valid(tuned["chosen"]).to_numpy()).all():
        return None
    found = np.full((len(alphas), len(asked)), np.nan)
    if not asked.any():
        return found
    scores = [side["scores"].filter(pa.array(asked)).combine_chunks() for side in (base, tuned)]
    lengths = [pc.list_value_length(side).fill_null(0).to_numpy() for side in scores]
    if (lengths[0] != lengths[1]).any() or (lengths[0] < 1).any():
        return None
    offsets = np.concatenate([[0], np.cumsum(lengths[0], dtype=np.int64)])
    base_scores, tuned_scores = (side.flatten().to_numpy(zero_copy_only=False).astype(np.float64) for side in scores)
    for place, alpha in enumerate(alphas.tolist()):
        total = (1 - alpha) * base_scale + alpha * tuned_scale
        share = alpha * tuned_scale / total
        found[place, asked] = choose((1 - share) * base_scores + share * tuned_scores, offsets)
    return found
