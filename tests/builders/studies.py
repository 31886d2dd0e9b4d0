"""Checkpoints with made-up embeddings: heads are really trained and marked, no model is asked."""

import numpy as np

from evaluator.answering.embeddings import write_embeddings
from evaluator.release.key import read_key
from evaluator.release.schema import CLASSIFICATION, Split
from leaderboard import releases, storage
from leaderboard.models import Model, Release, Submission
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_model, make_user
from tests.builders.system import tiny_hub

DIMENSIONS = 8
FAR = 0.01  # keeps a vector without clearness and noise from having no direction
SPLITS = ("dev", "test")
PER_SPLIT = 48  # two datasets of 24 images and 3 classes: 1, 2 and 4 labels per class fit into half of a pool


def make_release(slug: str = "tiny", per_split: int = PER_SPLIT) -> Release:
    """A release whose fine datasets are large enough to be ranked."""
    hub = releases.HubOptions(splits="given", name=slug)
    return releases.import_release(tiny_hub(SPLITS, per_split), slug, hub=hub)  # no baselines: they take their time


def make_embedded(
    release: Release, slug: str = "", *, model: Model | None = None, clear: float = 1.0, seed: int = 0,
    publish: bool = True, **fields: object,
) -> Submission:  # fmt: skip
    """An answered checkpoint; its embeddings of a class lie `clear` from those of others, in noise of 1."""
    model = model or make_model(make_user(), slug)
    submission = make_answered(model, release, splits=SPLITS, seed=seed, publish=publish, **fields)
    for split in SPLITS:
        submission.evaluations.filter(split=split).update(embeddings_sha256=put_embeddings(release, split, clear, seed))
    return submission


def put_embeddings(release: Release, split: str, clear: float, seed: int = 0, noise: float = 1.0) -> str:
    """Store embeddings of every image of a split, in a shuffled order; returns the blob's name."""
    key = read_key(storage.key_folder(release, release.key_in_force.number), Split(split))
    rng = np.random.default_rng([seed, len(split)])
    rows = key.take(rng.permutation(key.num_rows)).to_pylist()
    centres = np.random.default_rng(seed).normal(size=(10, DIMENSIONS))
    classes = [
        next(answer["answer_idx"] for answer in row["answers"] if answer["question"] == CLASSIFICATION) for row in rows
    ]  # fmt: skip
    vectors = clear * centres[classes] + noise * rng.normal(size=(len(rows), DIMENSIONS)) + FAR
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with storage.work_folder("embeddings") as folder:
        path = folder / "embeddings.npz"
        named = {name: np.array([row[name] for row in rows], dtype=np.str_) for name in ("dataset", "image_id")}
        write_embeddings({**named, "embedding": vectors.astype(np.float32)}, path)
        return storage.put_file(path).sha256
