"""The fine datasets of a release as heads need them. In: splits with their keys, embeddings; out: rows per dataset."""

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.tasks import Data
from evaluator.analyses.labels.draws import Draws, draw
from evaluator.analyses.splits import SplitKey
from evaluator.answering.embeddings import Embeddings
from evaluator.errors import InputError
from evaluator.release.schema import CLASSIFICATION
from evaluator.scoring.index import QUESTION_FORM

VARIANTS = (QUESTION_FORM, 1, 0)  # whose options name the classes: the question form where both sides have it
ZERO_SHOT_VARIANTS = (1, QUESTION_FORM, 0)  # whose answers are the zero-shot score: the first that was answered
HALVING_SEED = 0
Vectors = dict[tuple[str, str], NDArray[np.float32]]  # by dataset and image id


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """The images of a split whose sources are `kept`, (G,)."""

    split: SplitKey
    kept: NDArray[np.bool_]

    def draws(self) -> Draws:
        """Draws of the sources kept, in their strata; columns of others are 0."""
        stratum = self.split.index.stratum[self.kept]
        sizes = Counter(stratum.tolist())
        alone = np.array([sizes[code] == 1 for code in stratum.tolist()])
        drawn = draw(np.where(alone, -1, stratum), self.split.index.seed)
        sources = np.zeros((len(drawn.sources), len(self.kept)), dtype=drawn.sources.dtype)
        sources[:, self.kept] = drawn.sources
        return Draws(sources=sources, seed=drawn.seed)


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Images of one dataset on one side, by image id. classes: their right options; sources: (n,) codes in the split's
    index."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    sources: NDArray[np.int64]

    @property
    def n_sources(self) -> int:
        return len(np.unique(self.sources))


@dataclass(frozen=True, kw_only=True, eq=False)
class FineDataset:
    """labels: (n,) of the pool, codes of its classes in the order of their text; right: (m,) of the evaluated images,
    below 0 where the pool lacks the class, each such class a number of its own."""

    name: str
    n_classes: int
    pool: Images
    evaluated: Images
    labels: NDArray[np.int64]
    right: NDArray[np.int64]

    def data(self, vectors: Vectors) -> Data:
        """What a head is trained on and asked. Raises InputError `no_embedding` where an image has none."""
        pool, evaluated = (_rows(self.name, images.ids, vectors) for images in (self.pool, self.evaluated))
        return Data(pool=pool, labels=self.labels, evaluated=evaluated, n_classes=self.n_classes)


def whole(split: SplitKey) -> Side:
    """All images of a split."""
    return Side(split=split, kept=np.ones(split.index.n_sources, dtype=bool))


def halves(split: SplitKey) -> tuple[Side, Side]:
    """A split cut in two by source: sources alike in their datasets and in their first class are dealt in turn, in the
    order of a SHA-256 of HALVING_SEED and their images."""
    index = split.index
    asked, first = np.unique(index.source, return_index=True)
    names = split.questions.select(["dataset", "image_id"]).take(first).to_pylist()
    digests = {
        source: hashlib.sha256(f"{HALVING_SEED}\0{row['dataset']}\0{row['image_id']}".encode()).digest()
        for source, row in zip(asked.tolist(), names, strict=True)
    }
    kind = _first_classes(split)
    order = sorted(digests, key=lambda source: (index.stratum[source], kind.get(source, ""), digests[source]))
    kept = np.zeros(index.n_sources, dtype=bool)
    kept[order[::2]] = True
    return Side(split=split, kept=kept), Side(split=split, kept=~kept)


def fine_datasets(pool: Side, evaluated: Side) -> list[FineDataset]:
    """The fine datasets that have images on both sides, by name."""
    pools, others = _images(pool), _images(evaluated)
    found = []
    for name in sorted({name for name, _ in pools}):
        for variant in VARIANTS:
            own, other = pools.get((name, variant)), others.get((name, variant))
            if own is not None and other is not None:
                found.append(_dataset(name, own, other))
                break
    return found


def vectors_of(embeddings: Embeddings) -> Vectors:
    """Embeddings by dataset and image id."""
    names = zip(embeddings["dataset"].tolist(), embeddings["image_id"].tolist(), strict=True)
    return dict(zip(names, embeddings["embedding"].astype(np.float32, copy=False), strict=True))


def zero_shot_marks(side: Side, dataset: FineDataset, marks: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """(m,) 1 where the answers were right about an evaluated image, None where no wording was answered for all. marks:
    (n,) per question row, of `splits.marks_of`."""
    questions, index = side.split.questions, side.split.index
    is_own = _is_fine(side.split) & (np.array(questions["dataset"].to_pylist()) == dataset.name)
    for variant in ZERO_SHOT_VARIANTS:
        rows = np.flatnonzero(is_own & (index.variant == variant))
        found = dict(zip(questions["image_id"].take(rows).to_pylist(), marks[rows].tolist(), strict=True))
        values = np.array([found.get(name, np.nan) for name in dataset.evaluated.ids], dtype=np.float64)
        if not np.isnan(values).any():
            return values
    return None


def _images(side: Side) -> dict[tuple[str, int], Images]:
    """By dataset and variant."""
    index = side.split.index
    rows = np.flatnonzero(_is_fine(side.split) & side.kept[index.source])
    table = side.split.questions.take(rows).select(["dataset", "image_id", "options"]).to_pylist()
    found: dict[tuple[str, int], list[tuple[str, str, int]]] = {}
    for row, place in zip(table, rows.tolist(), strict=True):
        key = (row["dataset"], int(index.variant[place]))
        right = row["options"][index.answer[place]]
        found.setdefault(key, []).append((row["image_id"], right, int(index.source[place])))
    return {
        key: Images(
            ids=tuple(name for name, _, _ in sorted(images)), classes=tuple(right for _, right, _ in sorted(images)),
            sources=np.array([source for _, _, source in sorted(images)], dtype=np.int64),
        )
        for key, images in found.items()
    }  # fmt: skip


def _dataset(name: str, pool: Images, evaluated: Images) -> FineDataset:
    classes = sorted(set(pool.classes))
    code = {each: place for place, each in enumerate(classes)}
    absent = sorted(set(evaluated.classes) - set(classes))
    code |= {each: -1 - place for place, each in enumerate(absent)}
    labels, right = (np.array([code[each] for each in side.classes], dtype=np.int64) for side in (pool, evaluated))
    return FineDataset(name=name, n_classes=len(classes), pool=pool, evaluated=evaluated, labels=labels, right=right)


def _first_classes(split: SplitKey) -> dict[int, str]:
    """A class of each source that has one: that of its first fine question."""
    rows = np.flatnonzero(_is_fine(split))
    options = split.questions["options"].take(rows).to_pylist()
    found: dict[int, str] = {}
    for place, given in zip(rows.tolist(), options, strict=True):
        found.setdefault(int(split.index.source[place]), given[split.index.answer[place]])
    return found


def _is_fine(split: SplitKey) -> NDArray[np.bool_]:
    """(n,) the rows of classification questions."""
    return np.array([kind == CLASSIFICATION for kind in split.questions["question"].to_pylist()], dtype=bool)


def _rows(dataset: str, ids: tuple[str, ...], vectors: Vectors) -> NDArray[np.float32]:
    missing = [name for name in ids if (dataset, name) not in vectors]
    if missing:
        message = (f"{len(missing)} of {len(ids)} images of {dataset} have no embedding, for example {missing[0]}. "
                   "Give the embeddings of every split that is used, as `answer` wrote them.")  # fmt: skip
        raise InputError.single("no_embedding", message)
    return np.stack([vectors[dataset, name] for name in ids])
