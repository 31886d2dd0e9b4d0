"""The full check of a checkpoint: header, names, shapes, every value. In: an open file; out: its facts.

Imports torch and reads strangers' tensors, so on a server it runs only inside the sandbox.
"""

import hashlib
from collections import Counter
from io import BufferedReader
from math import prod
from typing import Any

import torch

from evaluator.encoders.open_clip import match_architecture
from evaluator.encoders.registry import Architecture
from evaluator.errors import InputError
from evaluator.weights.header import EXAMPLES, MAX_FILE_BYTES, Header, read_open_header
from evaluator.weights.keys import KeyMatch
from evaluator.weights.tensors import map_tensors, sha256_of


def check_weights(
    file: BufferedReader, architecture: Architecture, *, max_file_bytes: int = MAX_FILE_BYTES
) -> dict[str, Any]:
    """Check everything that can be known of a checkpoint without data, and return what is worth keeping.

    Facts (JSON): architecture, activation, preprocessing, file_bytes, sha256, tensors, parameters, dtypes (tensors per
    dtype), tolerated (key differences, `KeyMatch.facts`), tensor_hashes (name → sha256 of its bytes), canonical_hash
    (the same for renamed copies in another precision). Raises InputError with every problem of the first failing stage.
    """
    header = read_open_header(file, max_file_bytes=max_file_bytes)
    keys = match_architecture(header, architecture)
    hashes, canonical = _read_values(file, header, keys)
    return {
        "architecture": architecture.name,
        "activation": architecture.activation,
        "preprocessing": str(architecture.preprocessing),
        "file_bytes": header.file_bytes,
        "sha256": sha256_of(file),
        "tensors": len(header.tensors),
        "parameters": sum(prod(tensor.shape) for tensor in header.tensors.values() if tensor.dtype != "I64"),
        "dtypes": dict(sorted(Counter(tensor.dtype for tensor in header.tensors.values()).items())),
        "tolerated": keys.facts(),
        "tensor_hashes": hashes,
        "canonical_hash": canonical,
    }


def _read_values(file: BufferedReader, header: Header, keys: KeyMatch) -> tuple[dict[str, str], str]:
    """Hash every tensor and refuse NaN and infinite values; the canonical hash covers the architecture's tensors."""
    hashes, canonical, not_finite = {}, {}, []
    for name, tensor in map_tensors(file, header).items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            not_finite.append(name)
        hashes[name] = _sha256(tensor)
        canonical[name] = _sha256(tensor.to(torch.bfloat16)) if tensor.is_floating_point() else hashes[name]
    if not_finite:
        shown = ", ".join(not_finite[:EXAMPLES]) + (" …" if len(not_finite) > EXAMPLES else "")
        message = f"{len(not_finite):,} tensors hold NaN or infinite values: {shown}. Send an earlier checkpoint."
        raise InputError.single("non_finite_weights", message, field="file")
    lines = [f"{target} {canonical[source]}\n" for target, source in sorted(keys.sources.items())]
    return hashes, hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data).hexdigest()
