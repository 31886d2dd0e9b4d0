"""The sentences that training images are compared with. In: datasets; out: texts, and which of them answer what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demo.generate.catalogue import Dataset
from demo.generate.questions import KINDS, NONE_CAPTION, known_values, sentence


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """The sentences of one caption variant.

    candidates: bool (datasets, kinds, sentences), what a question of this kind about this dataset may offer.
    places: (dataset, kind, value) → index of its sentence.
    """

    texts: list[str]
    candidates: np.ndarray
    places: dict[tuple[str, str, str], int]


def collect_sentences(datasets: Sequence[Dataset], variant: int) -> Sentences:
    """Every sentence of `variant` that a question about `datasets` may offer, each once."""
    index: dict[str, int] = {NONE_CAPTION: 0}
    places = {
        (dataset.name, kind, value): index.setdefault(sentence(dataset, kind, value, variant), len(index))
        for dataset in datasets for kind in KINDS for value in known_values(dataset, kind)
    }  # fmt: skip
    candidates = np.zeros((len(datasets), len(KINDS), len(index)), bool)
    candidates[:, :, 0] = True
    row = {dataset.name: i for i, dataset in enumerate(datasets)}
    for (dataset, kind, _), place in places.items():
        candidates[row[dataset], KINDS.index(kind), place] = True
    return Sentences(texts=list(index), candidates=candidates, places=places)


def answers(sentences: Sentences, datasets: Sequence[Dataset], facts: Sequence[dict[str, str | None]]) -> np.ndarray:
    """int64 (images, kinds): the index of the right sentence, −1 where the question is not asked."""
    places = np.full((len(datasets), len(KINDS)), -1)
    for row, (dataset, stated) in enumerate(zip(datasets, facts, strict=True)):
        for column, kind in enumerate(KINDS):
            if (value := stated[kind]) is not None:
                places[row, column] = sentences.places[dataset.name, kind, value]
    return places
