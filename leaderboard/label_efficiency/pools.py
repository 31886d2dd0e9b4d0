"""What heads are trained and marked on. In: release, key in force, embeddings; out: fine datasets, vectors, marks.

Reads KEY_ROOT. The pool is `dev`, whose labels are public; the right classes of `test` stay in this process.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from evaluator.analyses.labels.draws import Draws
from evaluator.analyses.labels.fine import FineDataset, Side, Vectors, vectors_of, whole, zero_shot_marks
from evaluator.analyses.labels.fine import fine_datasets as fine_datasets_of
from evaluator.analyses.splits import load_split
from evaluator.answering.embeddings import read_embeddings
from evaluator.release.schema import Split
from leaderboard import storage
from leaderboard.models import Evaluation, Release, Report

POOL, EVALUATED = Split.DEV, Split.TEST


@dataclass(frozen=True, kw_only=True, eq=False)
class Fine:
    """The fine datasets of a release by one key revision, by name, and the draws that all its encoders share."""

    evaluated: Side
    datasets: dict[str, FineDataset]
    draws: Draws


def fine_of(release: Release) -> Fine:
    """By the key in force. Raises InputError when the key does not fit the release."""
    return _fine(release.slug, release.hash, release.key_in_force.number)


def vectors(*evaluations: Evaluation) -> Vectors:
    """The stored embeddings of all of them, by dataset and image id."""
    found: Vectors = {}
    for evaluation in evaluations:
        with storage.local_path(evaluation.embeddings_sha256) as path:
            found |= vectors_of(read_embeddings(path))
    return found


def zero_shot(fine: Fine, report: Report, dataset: FineDataset) -> NDArray[np.float64] | None:
    """(m,) 1 where the model was right without a label, by the correctness bits of its report; None where it answered
    no wording for all of them."""
    return zero_shot_marks(fine.evaluated, dataset, np.load(storage.derived_folder(report) / storage.CORRECT))


@lru_cache(maxsize=2)
def _fine(slug: str, release_hash: str, revision: int) -> Fine:
    """Another revision of the key, or another content of the release, has another answer."""
    release = Release(slug=slug, hash=release_hash)
    keys, folder = storage.key_folder(release, revision), storage.release_folder(release)
    pool, evaluated = (whole(load_split(folder, split, keys)) for split in (POOL, EVALUATED))
    datasets = {dataset.name: dataset for dataset in fine_datasets_of(pool, evaluated)}
    return Fine(evaluated=evaluated, datasets=datasets, draws=evaluated.draws())
