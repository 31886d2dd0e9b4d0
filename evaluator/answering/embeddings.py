"""Image embeddings beside the answers, for label efficiency. In/out: embeddings.npz. Torch-free."""

from pathlib import Path

import numpy as np
import pyarrow as pa

Embeddings = dict[str, np.ndarray]  # dataset (n,), image_id (n,): text; embedding (n, d): unit-length float32


def named_embeddings(items: pa.Table, embeddings: np.ndarray) -> Embeddings:
    """`embeddings` (n, d), in the order of `items`, with the ids they belong to."""
    return {
        "dataset": np.array(items["dataset"].to_pylist(), dtype=np.str_),
        "image_id": np.array(items["image_id"].to_pylist(), dtype=np.str_),
        "embedding": embeddings,
    }


def write_embeddings(embeddings: Embeddings, path: Path) -> None:
    """Write embeddings.npz; float vectors do not compress, so none is tried."""
    np.savez(path, allow_pickle=False, **embeddings)


def read_embeddings(path: Path) -> Embeddings:
    """Read embeddings.npz."""
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in ("dataset", "image_id", "embedding")}
