"""Which evaluated sources and which seeds a bootstrap replicate draws: the same for all encoders, so that any two are
compared pairwise. In: strata and seeds; out: draws."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.statistics.bootstrap import REPLICATES, source_weights

_SEED_STREAM = 2  # sets draws of seeds apart from draws of sources, which have the same seed


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """sources: (B, G) how often each source of the split is drawn; seed: that of the split (bootstrap.seed_of)."""

    sources: NDArray[np.uint16]
    seed: int

    def of_seeds(self, n_seeds: int, dataset: str) -> NDArray[np.float64]:
        """(B, S) the share of each seed: S drawn of S. Each dataset has its own, for its label orders are its own."""
        number = int.from_bytes(hashlib.sha256(dataset.encode()).digest()[:8], "big")
        generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, _SEED_STREAM, number])))
        drawn = generator.integers(0, n_seeds, (len(self.sources), n_seeds))
        flat = (drawn + np.arange(len(drawn))[:, None] * n_seeds).ravel()
        return np.bincount(flat, minlength=drawn.size).reshape(drawn.shape) / n_seeds


def draw(stratum: NDArray[np.int64], seed: int, replicates: int = REPLICATES) -> Draws:
    """Draws of all sources of a split, as its boards have them (KeyIndex.stratum and .seed)."""
    chunks = [weights.astype(np.uint16) for weights in source_weights(stratum, seed, replicates)]
    return Draws(sources=np.concatenate(chunks), seed=seed)


def recall_replicates(
    right: NDArray[np.int64], source: NDArray[np.int64], marks: NDArray[np.float64], draws: Draws
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(B, R) balanced accuracy and (B, R) accuracy of R runs on the images drawn.

    right: (m,) classes; source: (m,) columns of `draws.sources`; marks: (R, m), 1 where right. A class of which nothing
    was drawn keeps its recall on all images: left out, it would shift the replicate's mean over classes. One matrix
    product per class.
    """
    n_replicates = len(draws.sources)
    recalls, hits = np.zeros((2, n_replicates, len(marks)))
    images = np.zeros((n_replicates, 1))
    classes = np.unique(right)
    for each in classes:
        own = np.flatnonzero(right == each)
        weights = draws.sources[:, source[own]].astype(np.float32)  # counts: sums below 2^24 are exact
        drawn = weights.sum(axis=1, dtype=np.float64)[:, None]
        found = (weights @ marks[:, own].T.astype(np.float32)).astype(np.float64)
        recalls += np.where(drawn > 0, found / np.maximum(drawn, 1), marks[:, own].mean(axis=1))
        hits += found
        images += drawn
    return recalls / len(classes), np.where(images > 0, hits / np.maximum(images, 1), marks.mean(axis=1))
