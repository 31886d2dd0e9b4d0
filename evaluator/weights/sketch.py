"""How alike two checkpoints are, told from their facts. In: facts of `check_weights`; out: a Kinship. Torch-free.

A sketch is what stays of a checkpoint when its tensors are gone: a short hash of each, and a few values of every
matrix, always from the same places. Layouts do not matter: CLIP's two are sketched as one.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.weights.keys import CUSTOM_TEXT
from evaluator.weights.layouts import Shape, Source, is_transformers_clip, to_open_clip

SCHEMA = 1
HASH_BYTES = 4
HASHED = 1_024  # tensors, the most
VALUES = 2_048  # of all matrices together
GOLDEN = (5**0.5 - 1) / 2  # its multiples fall into no pattern of rows and columns
# Of the demo's models, fine-tunes are 0.08 and 0.11 from their base and 0.13 from each other; one that began with the
# base's first weights and had a quarter of its training is 0.24 away; strangers are √2 apart.
TUNED_WITHIN = 0.2


@dataclass(frozen=True, kw_only=True)
class Kinship:
    """identical_share: of the tensors, to the precision of bfloat16. distance: of the matrices' values, each matrix
    scaled to size 1: 0 for equal ones, about √2 for strangers. cosine: of the same values. looks_tuned: near enough
    that one was trained from the other, or both from a third; which from which cannot be told."""

    identical_share: float
    distance: float
    cosine: float
    looks_tuned: bool


def compare(facts: Mapping[str, Any], others: Mapping[str, Any]) -> Kinship | None:
    """How alike two checkpoints are, by the facts of each; None when their tensors do not correspond, or when a sketch
    is missing or not one of ours."""
    ours, theirs = (_read(each.get("sketch")) for each in (facts, others))
    if ours is None or theirs is None or ours.names != theirs.names or ours.values.shape != theirs.values.shape:
        return None
    size = np.sqrt((ours.values**2 + theirs.values**2).sum(axis=1, keepdims=True) / 2)
    kept = size[:, 0] > 0
    first, second = (each.values[kept] / size[kept] for each in (ours, theirs))
    total = float((first**2 + second**2).sum()) / 2
    distance = sqrt(float(((first - second) ** 2).sum()) / total) if total else 0.0
    lengths = sqrt(float((first**2).sum()) * float((second**2).sum()))
    return Kinship(
        identical_share=round(float((ours.hashes == theirs.hashes).all(axis=1).mean()), 6),
        distance=round(distance, 6),
        cosine=round(float((first * second).sum()) / lengths if lengths else float(not total), 6),
        looks_tuned=distance <= TUNED_WITHIN,
    )


def canonical_layout(names: Sequence[str]) -> dict[str, Source]:
    """What each tensor of a sketch is made of, for the tensors `names` of an architecture, in the sketch's order."""
    sources = {name: Source(names=(name,)) for name in names}
    if is_transformers_clip(sources):
        sources = to_open_clip(sources)
    if CUSTOM_TEXT in sources:
        sources = {name.removeprefix("text."): source for name, source in sources.items()}
    return dict(sorted(sources.items()))


def sketch(
    shapes: Mapping[str, Shape], digest: Callable[[str], str], sample: Callable[[str, NDArray[np.int64]], Any]
) -> dict[str, Any]:
    """The sketch (JSON, at most 20 kB) of tensors by their names in `canonical_layout`.

    digest: the SHA-256 in hex of one tensor. sample: the values of one tensor at places in its flattened form.
    """
    names = list(shapes)
    hashed = _evenly(names, HASHED)
    matrices = _evenly([name for name in names if len(shapes[name]) > 1], VALUES)
    n_values = VALUES // len(matrices) if matrices else 0
    values = [np.asarray(sample(name, _places(int(np.prod(shapes[name])), n_values)), np.float32) for name in matrices]
    lines = "".join(f"{name} {list(shapes[name])}\n" for name in names)
    return {
        "schema": SCHEMA, "names": hashlib.sha256(lines.encode()).hexdigest(), "matrices": len(matrices),
        "hashes": b64encode(b"".join(bytes.fromhex(digest(name))[:HASH_BYTES] for name in hashed)).decode(),
        "values": b64encode(np.concatenate(values).astype("<f4").tobytes() if values else b"").decode(),
    }  # fmt: skip


def _evenly(names: Sequence[str], most: int) -> list[str]:
    """All names, or `most` of them spread over the whole list."""
    return list(names) if len(names) <= most else [names[i * len(names) // most] for i in range(most)]


def _places(size: int, n: int) -> NDArray[np.int64]:
    """n places in 0 … size − 1, the same for every checkpoint."""
    return ((np.arange(1, n + 1) * GOLDEN % 1) * size).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class _Sketch:
    names: str
    hashes: NDArray[np.uint8]  # (tensors, HASH_BYTES)
    values: NDArray[np.float64]  # (matrices, values)


def _read(stored: Any) -> _Sketch | None:
    """What a sandboxed child wrote, which read a stranger's file: nothing in it is taken on trust."""
    try:
        if stored["schema"] != SCHEMA:
            return None
        hashes = np.frombuffer(b64decode(stored["hashes"], validate=True), np.uint8).reshape(-1, HASH_BYTES)
        values = np.frombuffer(b64decode(stored["values"], validate=True), "<f4").astype(np.float64)
        n_matrices = int(stored["matrices"])
        found = _Sketch(
            names=str(stored["names"]), hashes=hashes, values=values.reshape(n_matrices, -1 if n_matrices else 0)
        )  # fmt: skip
    except (TypeError, KeyError, ValueError, OverflowError):
        return None
    return found if len(hashes) and isfinite(float(np.abs(found.values).sum())) else None
