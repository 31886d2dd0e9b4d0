"""Bootstrap over sources. In: per-source sums; out: replicates. Every entry of a split shares the same draws, so that
any two are compared pairwise. Sources are drawn whole, within strata of sources that occur in the same datasets."""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

REPLICATES = 2_000
CHUNK = 128  # replicates drawn at a time: bounds memory at CHUNK × G weights


def seed_of(release_hash: str, split: str) -> int:
    """The seed that every entry of a split shares."""
    return int.from_bytes(hashlib.sha256(f"{release_hash}:{split}".encode()).digest()[:8], "big")


def source_weights(
    stratum: NDArray[np.int64], seed: int, replicates: int = REPLICATES
) -> Iterator[NDArray[np.float64]]:
    """Chunks (≤ CHUNK, G) of how often each source is drawn: multinomial within each stratum, whose size is kept.

    stratum: (G,) code of each source's stratum. The sequence depends on `stratum` and `seed` alone.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    order = np.argsort(stratum, kind="stable")
    sizes = np.unique(stratum, return_counts=True)[1]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    first, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)  # of the stratum each sorted position lies in
    n_sources = len(stratum)
    for begin in range(0, replicates, CHUNK):
        rows = min(CHUNK, replicates - begin)
        # random() < 1 is a multiple of 2^-53, so floor(random · size) < size for every size below 2^53.
        drawn = first + (generator.random((rows, n_sources)) * size).astype(np.int64)
        flat = (drawn + np.arange(rows)[:, None] * n_sources).ravel()
        weights = np.empty((rows, n_sources))
        weights[:, order] = np.bincount(flat, minlength=rows * n_sources).reshape(rows, n_sources)
        yield weights


def bootstrap_sums(
    columns: NDArray[np.float64], stratum: NDArray[np.int64], seed: int, replicates: int = REPLICATES
) -> NDArray[np.float64]:
    """(B, C) resampled column sums of `columns` (G, C): one matrix product per chunk, never B × questions."""
    return np.concatenate([weights @ columns for weights in source_weights(stratum, seed, replicates)])


def percentile_interval(replicates: NDArray[np.float64], level: float = 0.95) -> tuple[float, float]:
    """The central interval (low, high) of (B,) replicates; NaN replicates (nothing drawn) are left out."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(replicates, [tail, 1 - tail])
    return float(low), float(high)
