"""How far a run in lower precision agrees with the official one. In: a run's encoder and answers; out: a share of rows.

The first items asked about are answered again in float32, by the same weights and the same path.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.answering.answered import Agreement, Answered
from evaluator.answering.choose import pairs_of
from evaluator.answering.families import contrastive
from evaluator.answering.parts import Resume
from evaluator.answering.progress import StageClock
from evaluator.answering.questions import Asked
from evaluator.answering.settings import BatchSizes
from evaluator.architectures.architecture import Family
from evaluator.encoders.choices import Precision
from evaluator.encoders.encoder import Encoder

ITEMS = 256


def agreement_with_fp32(
    encoder: Encoder, crops: NDArray[np.uint8], asked: Asked, answered: Answered, sizes: BatchSizes
) -> Agreement:
    """Compare `answered`, which `encoder` gave on `crops` (items, h, w, 3), with float32 on its first ITEMS items.

    Raises EvaluationFailed as `contrastive.answer`.
    """
    exact: Any = encoder  # encoders are dataclasses with a field `precision`
    places, items, few = _first_items(asked, ITEMS)
    again = contrastive.answer(
        replace(exact, precision=Precision.FP32), crops[items], few, sizes, StageClock(Family.CONTRASTIVE), Resume()
    )
    same = answered.answers["chosen"].to_numpy()[places] == again.answers["chosen"].to_numpy()
    return Agreement(rows=len(places), same_choice=float(same.mean()))


def _first_items(asked: Asked, n: int) -> tuple[np.ndarray, np.ndarray, Asked]:
    """Places in `asked` of the rows about the first n items that have any, those items, and these rows alone."""
    items = np.unique(asked.image_of)[:n]
    places = np.flatnonzero(asked.image_of <= items[-1])
    pairs, row_of_pair = pairs_of(places, asked.offsets)
    texts, text_of = np.unique(asked.text_of[pairs], return_inverse=True)
    return places, items, replace(
        asked, rows=asked.rows.take(places), texts=[asked.texts[text] for text in texts], text_of=text_of,
        image_of=np.searchsorted(items, asked.image_of[places]),
        offsets=np.concatenate([[0], np.cumsum(np.bincount(row_of_pair, minlength=len(places)))]),
    )  # fmt: skip
