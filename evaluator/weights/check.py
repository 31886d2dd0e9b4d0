"""The full check of a checkpoint: header, names, shapes, every value. In: a Checkpoint; out: its facts.

Imports torch and reads strangers' tensors, so on a server it runs only inside the sandbox.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evaluator.architectures.architecture import Architecture
from evaluator.encoders.loading import match_architecture
from evaluator.errors import InputError
from evaluator.weights.checkpoint import Checkpoint
from evaluator.weights.header import EXAMPLES
from evaluator.weights.keys import KeyMatch
from evaluator.weights.layouts import Change
from evaluator.weights.sketch import canonical_layout, sketch
from evaluator.weights.tensors import arrange, make, map_tensors

LOGIT_BIAS = "logit_bias"


def check_weights(weights: Checkpoint, architecture: Architecture) -> dict[str, Any]:
    """Check everything that can be known of a checkpoint without data, and return what is worth keeping.

    Facts (JSON): architecture, activation, preprocessing, file_bytes, sha256, tensors, parameters, dtypes (tensors per
    dtype), tolerated (key differences, `KeyMatch.facts`), tensor_hashes (name → sha256 of its bytes), canonical_hash
    (the same for renamed copies in another precision), sketch (see `evaluator.weights.sketch`). With an adapter the
    hashes and the sketch are those of the merged tensors, and base and adapter are there too
    (`Checkpoint.adapter_facts`). Raises InputError with every problem of the first failing stage.
    """
    keys = match_architecture(weights, architecture)
    hashes, canonical, drawn = _read_values(weights, keys)
    tensors = weights.tensors
    return {
        "architecture": architecture.name,
        "activation": architecture.activation,
        "preprocessing": str(architecture.preprocessing),
        "file_bytes": weights.file_bytes,
        "sha256": weights.sha256(),
        "tensors": len(tensors),
        "parameters": sum(prod(tensor.shape) for tensor in tensors.values() if tensor.dtype != "I64"),
        "dtypes": dict(sorted(Counter(tensor.dtype for tensor in tensors.values()).items())),
        "tolerated": keys.facts(),
        "tensor_hashes": hashes,
        "canonical_hash": canonical,
        "sketch": drawn,
        **weights.adapter_facts(),
    }


def _read_values(weights: Checkpoint, keys: KeyMatch) -> tuple[dict[str, str], str, dict[str, Any]]:
    """Hash every tensor and refuse NaN and infinite values; the canonical hash and the sketch cover the architecture's
    tensors."""
    hashes, canonical, not_finite = {}, {}, []
    stored = map_tensors(weights, keys.sources)
    for name, tensor in stored.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            not_finite.append(name)
        hashes[name] = _sha256(tensor)
        canonical[name] = _canonical(tensor)
    if not_finite:
        shown = ", ".join(not_finite[:EXAMPLES]) + (" …" if len(not_finite) > EXAMPLES else "")
        message = f"{len(not_finite):,} tensors hold NaN or infinite values: {shown}. Send an earlier checkpoint."
        raise InputError.single("non_finite_weights", message, field="file")
    arranged = arrange(stored, keys)
    by_target = {target: canonical[source] for target, source in keys.sources.items()}
    by_target |= {target: _canonical(arranged[target]) for target in keys.made}
    lines = [f"{target} {digest}\n" for target, digest in sorted(by_target.items())]
    return hashes, hashlib.sha256("".join(lines).encode()).hexdigest(), _sketch(arranged, by_target)


def _sketch(arranged: Mapping[str, torch.Tensor], digests: Mapping[str, str]) -> dict[str, Any]:
    """Of floating-point tensors; `digests` are canonical. logit_bias is left out, for a file may lack it."""
    names = [name for name, tensor in arranged.items() if tensor.is_floating_point() and name != LOGIT_BIAS]
    layout = canonical_layout(names)
    shapes = {name: tuple(tensor.shape) for name, tensor in arranged.items()}

    def digest(name: str) -> str:
        source = layout[name]
        return digests[source.names[0]] if source.change is Change.NONE else _canonical(make(arranged, source))

    def sample(name: str, places: NDArray[np.int64]) -> Any:
        return make(arranged, layout[name]).reshape(-1)[torch.from_numpy(places)].float().numpy()

    return sketch({name: source.shape(shapes) or () for name, source in layout.items()}, digest, sample)


def _canonical(tensor: torch.Tensor) -> str:
    return _sha256(tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor)


def _sha256(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data).hexdigest()
