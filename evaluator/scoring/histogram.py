"""A model that sees nothing but colour. In: images and answers of dev, images of a split; out: answers of the split.

Each image is answered as the dev image with the most similar colour histogram was: what beats this has seen more than
brightness and hue.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from evaluator.answers import ABSTAINED
from evaluator.release.read import item_ids
from evaluator.release.tasks import task_slug
from evaluator.scoring.baselines import (
    answers_that_choose,
    question_rows,
    right_options,
    with_options,
    without_cognition,
)

BINS = 8  # per channel
NEIGHBOURS = 50  # looked at before giving up on a question
ITEMS_AT_ONCE = 512
DECIMALS = 9  # similarities are rounded, so that equal images are equally near on every machine

Bucket = tuple[str, int | None]  # task and variant


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """The items of a split with what colour says of them. histograms (n, BINS³): their roots, of unit length."""

    ids: list[str]
    sources: list[str] | None  # None: none of them is in dev
    histograms: NDArray[np.float64]


def histograms(images: Iterable[Image.Image]) -> NDArray[np.float64]:
    """(n, BINS³) the square roots of each RGB image's share of pixels per colour bin: the dot product of two rows is
    their Bhattacharyya coefficient, 1 for equal histograms."""
    found = []
    for image in images:
        bins = np.asarray(image, np.int64).reshape(-1, 3) * BINS // 256
        counts = np.bincount(bins @ np.array([BINS * BINS, BINS, 1]), minlength=BINS**3)
        found.append(np.sqrt(counts / len(bins)))
    return np.array(found).reshape(-1, BINS**3)


def histogram_answers(
    dev_questions: pa.Table, dev_key: pa.Table, dev: Pictures, questions: pa.Table, asked: Pictures
) -> pa.Table:
    """ANSWERS that choose, at every question of a core task, what was right for the nearest dev image.

    Cognition is left out, since its questions differ from image to image, and so are questions that ask for boxes.
    Neighbours are of the same dataset where the task is, and never of the same source. A neighbour whose right option
    is not among the options is passed over; after NEIGHBOURS of them nothing is chosen. Ties go to the dev item that
    stands first.
    """
    dev_questions, questions = (without_cognition(with_options(rows)) for rows in (dev_questions, questions))
    known = _known(dev_questions, dev_key, dev.ids)
    rows_of: dict[str, list[int]] = {}
    for row, item in enumerate(item_ids(questions).to_pylist()):
        rows_of.setdefault(item, []).append(row)
    columns = question_rows(questions)
    chosen = np.full(questions.num_rows, ABSTAINED, np.int16)
    for place, order in _nearest_first(dev, asked):
        for row in rows_of.get(asked.ids[place], []):
            question, dataset, variant, options = columns[row]
            right_of = known.get((task_slug(question, dataset), variant), {})
            neighbours = islice((right_of[near] for near in order if near in right_of), NEIGHBOURS)
            chosen[row] = next((options.index(text) for text in neighbours if text in options), ABSTAINED)
    return answers_that_choose(questions, chosen)


def _known(questions: pa.Table, key: pa.Table, ids: list[str]) -> dict[Bucket, dict[int, str]]:
    """What was right in dev: task and variant -> place of the item -> text of the right option."""
    place_of = {item: place for place, item in enumerate(ids)}
    known: dict[Bucket, dict[int, str]] = {}
    rows = zip(item_ids(questions).to_pylist(), question_rows(questions), right_options(questions, key), strict=True)
    for item, (question, dataset, variant, _), right in rows:
        known.setdefault((task_slug(question, dataset), variant), {})[place_of[item]] = right
    return known


def _nearest_first(dev: Pictures, asked: Pictures) -> Iterable[tuple[int, list[int]]]:
    """For each item asked, its place and the places of the dev items, nearest first, those of its source left out."""
    sources = np.array(dev.sources or [""] * len(dev.ids))
    for start in range(0, len(asked.ids), ITEMS_AT_ONCE):
        similar = np.round(asked.histograms[start : start + ITEMS_AT_ONCE] @ dev.histograms.T, DECIMALS)
        for place, row in enumerate(np.argsort(-similar, axis=1, kind="stable"), start):
            if asked.sources is not None:
                row = row[sources[row] != asked.sources[place]]
            yield place, row.tolist()
