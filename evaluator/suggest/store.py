"""Embeddings kept for the next round. In/out: embeddings.npz. Torch-free.

Each row is kept under the SHA-256 of its image file, and all of them under a key of what made them: weights,
architecture, recipe, precision, device and code. What was made otherwise is never taken.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.errors import InputError

ARRAYS = ("id", "embedding", "sha256", "key")

Kept = dict[str, NDArray[np.float32]]  # SHA-256 of an image file → its embedding (d,)


def key_of(facts: Mapping[str, Any]) -> str:
    """Equal for equal facts (JSON), whatever their order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def read_kept(path: Path, key: str) -> Kept:
    """What the file holds under this key; nothing when it is missing, damaged or made otherwise."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["key"]) != key:
                return {}
            digests, vectors = stored["sha256"], stored["embedding"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) != len(digests):
        return {}
    return {str(digest): vector for digest, vector in zip(digests, vectors, strict=True)}


def write_kept(path: Path, ids: Sequence[str], digests: Sequence[str], vectors: NDArray[np.float32], key: str) -> None:
    """Write embeddings.npz; nobody sees half of it. InputError `cannot_write`."""
    partial = path.with_name(f"{path.name}.part")
    try:
        with partial.open("wb") as file:
            arrays = np.array(ids, np.str_), vectors, np.array(digests, np.str_), np.array(key)
            np.savez(file, allow_pickle=False, **dict(zip(ARRAYS, arrays, strict=True)))
        partial.replace(path)
    except OSError as error:
        raise InputError.single("cannot_write", f"{path} cannot be written ({error}). Name another place.") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
