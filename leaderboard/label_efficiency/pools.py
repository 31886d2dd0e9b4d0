"""What heads are trained and marked on. In: release, key in force, embeddings; out: rows and classes per dataset.

Reads KEY_ROOT. The pool is `dev`, whose labels are public; the right classes of `test` stay in this process.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluator.active_learning.tasks import Data
from evaluator.answering.embeddings import read_embeddings
from evaluator.errors import EvaluationFailed
from evaluator.release.key import read_key
from evaluator.release.read import read_questions
from evaluator.release.schema import CLASSIFICATION, Split
from leaderboard import storage
from leaderboard.models import Evaluation, Release, Report

POOL, EVALUATED = Split.DEV, Split.TEST
VARIANTS = (None, 1, 0)  # whose option texts name the classes: the question form where there is one
ZERO_SHOT_VARIANTS = (1, None)  # whose answers are the zero-shot score: the caption that boards rank by, else the form


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Images of one dataset in one split, by image id. labels: (n,) codes of the pool's classes; −1, −2, … of classes
    that no image of the pool has. sources: (n,) codes, of all sources of the split (evaluator.scoring.index)."""

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    sources: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_sources(self) -> int:
        return len(np.unique(self.sources))


@dataclass(frozen=True, kw_only=True, eq=False)
class FineDataset:
    """One fine dataset by the key in force. classes: the right options of the pool, in order of their text."""

    name: str
    classes: tuple[str, ...]
    pool: Images
    evaluated: Images

    @property
    def n_classes(self) -> int:
        return len(self.classes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedded:
    """The embeddings of a submission: ids and (n, d) rows by split and dataset, rows in the order of ids."""

    rows: dict[tuple[Split, str], tuple[NDArray[np.str_], NDArray[np.float32]]]

    def data(self, dataset: FineDataset) -> Data:
        """What a process that trains heads gets: no right answer of an evaluated image.

        Raises EvaluationFailed when an image has no embedding.
        """
        return Data(
            pool=self._of(POOL, dataset.name, dataset.pool), labels=dataset.pool.labels, n_classes=dataset.n_classes,
            evaluated=self._of(EVALUATED, dataset.name, dataset.evaluated),
        )  # fmt: skip

    def _of(self, split: Split, name: str, images: Images) -> NDArray[np.float32]:
        ids, rows = self.rows.get((split, name), (np.array([], dtype=np.str_), np.empty((0, 0), dtype=np.float32)))
        wanted = np.array(images.ids, dtype=np.str_)
        place = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
        if not len(ids) or (ids[place] != wanted).any():
            message = f"The stored embeddings of {split} lack images of {name}: have the model embed its images again."
            raise EvaluationFailed("embeddings_incomplete", message, retry=False)
        return rows[place]


def fine_datasets(release: Release) -> dict[str, FineDataset]:
    """The fine datasets whose pool shows two classes or more and that have images to evaluate on, by name. Reads
    KEY_ROOT."""
    return _fine_datasets(release.slug, release.hash, release.key_in_force.number)


def read_embedded(dev: Evaluation, test: Evaluation) -> Embedded:
    """The stored embeddings of both splits."""
    rows = {}
    for split, evaluation in ((POOL, dev), (EVALUATED, test)):
        with storage.local_path(evaluation.embeddings_sha256) as path:
            stored = read_embeddings(path)
        for name in np.unique(stored["dataset"]).tolist():
            own = np.flatnonzero(stored["dataset"] == name)
            own = own[np.argsort(stored["image_id"][own], kind="stable")]
            rows[split, name] = (stored["image_id"][own], stored["embedding"][own].astype(np.float32, copy=False))
    return Embedded(rows=rows)


def zero_shot(release: Release, report: Report, dataset: FineDataset) -> NDArray[np.float64] | None:
    """(m,) 1 where the model was right without any label, in the order of the evaluated images; None where it answered
    no wording of the question for all of them."""
    folder, asked = storage.release_folder(release), pc.field("question") == CLASSIFICATION
    questions = read_questions(folder, EVALUATED)
    questions = questions.append_column("mark", pa.array(np.load(storage.derived_folder(report) / storage.CORRECT)))
    own = questions.filter(asked & (pc.field("dataset") == dataset.name))
    for variant in ZERO_SHOT_VARIANTS:
        rows = own.filter(_is_variant(variant))
        marks = dict(zip(rows["image_id"].to_pylist(), rows["mark"].to_pylist(), strict=True))
        found = np.array([marks.get(name, np.nan) for name in dataset.evaluated.ids], dtype=np.float64)
        if not np.isnan(found).any():
            return found
    return None


@lru_cache(maxsize=2)
def _fine_datasets(slug: str, release_hash: str, revision: int) -> dict[str, FineDataset]:
    """By the key of one revision; another revision or another content of the release has another answer."""
    release = Release.objects.get(slug=slug, hash=release_hash)
    pools, evaluated = (_right(release, split, revision) for split in (POOL, EVALUATED))
    found = {}
    for name in sorted({dataset for dataset, _ in pools}):
        for variant in VARIANTS:
            pool, rest = pools.get((name, variant)), evaluated.get((name, variant))
            if pool and rest:
                if len({option for option, _ in pool.values()}) > 1:
                    found[name] = _dataset(name, pool, rest)
                break
    return found


Right = dict[str, tuple[str, int]]  # image id -> right option, code of its source


def _right(release: Release, split: Split, revision: int) -> dict[tuple[str, int | None], Right]:
    """The right option of the classification question of every image, by dataset and wording."""
    questions = read_questions(storage.release_folder(release), split)
    questions = questions.filter(pc.field("question") == CLASSIFICATION)
    key = read_key(storage.key_folder(release, revision), split).select(["dataset", "image_id", "source", "answers"])
    code = {source: place for place, source in enumerate(sorted(set(key["source"].to_pylist())))}
    right = {
        (row["dataset"], row["image_id"], answer["variant"]): (answer["answer_idx"], code[row["source"]])
        for row in key.to_pylist() for answer in row["answers"] if answer["question"] == CLASSIFICATION
    }  # fmt: skip
    found: dict[tuple[str, int | None], Right] = {}
    for row in questions.select(["dataset", "image_id", "variant", "options"]).to_pylist():
        answer, source = right[row["dataset"], row["image_id"], row["variant"]]
        found.setdefault((row["dataset"], row["variant"]), {})[row["image_id"]] = (row["options"][answer], source)
    return found


def _dataset(name: str, pool: Right, evaluated: Right) -> FineDataset:
    classes = tuple(sorted({option for option, _ in pool.values()}))
    absent = sorted({option for option, _ in evaluated.values()} - set(classes))
    code = {option: place for place, option in enumerate(classes)}
    code |= {option: -1 - place for place, option in enumerate(absent)}
    return FineDataset(name=name, classes=classes, pool=_images(pool, code), evaluated=_images(evaluated, code))


def _images(right: Right, code: dict[str, int]) -> Images:
    ids = tuple(sorted(right))
    labels, sources = ([code[right[name][0]] for name in ids], [right[name][1] for name in ids])
    return Images(ids=ids, labels=np.array(labels, dtype=np.int64), sources=np.array(sources, dtype=np.int64))


def _is_variant(variant: int | None) -> pc.Expression:
    return pc.field("variant").is_null() if variant is None else pc.field("variant") == variant
