"""From a .pt checkpoint to safetensors, on its author's own machine. In: a file torch.save wrote; out: a .safetensors.

The only place that unpickles, with weights_only=True and no fallback. The server never calls it.
"""

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from evaluator.errors import InputError
from evaluator.weights.header import INDEX_BUFFERS
from evaluator.weights.keys import TOLERANCES, Tolerance

STATE_KEYS = ("state_dict", "model_state_dict", "model", "module")  # where training code puts the weights
SAVE_PLAINLY = "Where the model was trained, run torch.save(model.state_dict(), FILE) and convert that file."
# What the restricted unpickler raises on files that are no checkpoint, or hold more than tensors.
UNPICKLING_ERRORS = (
    pickle.UnpicklingError, struct.error, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError,
    AssertionError,
)  # fmt: skip
KEPT_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def convert_checkpoint(source: Path, target: Path) -> list[str]:
    """Write the tensors of `source` to `target` as safetensors; returns one sentence per change made.

    float64 becomes float32, integers stay only in named index buffers, tensors that share memory are written apart.
    Raises InputError when the file is no plain checkpoint of tensors.
    """
    notes: list[str] = []
    state = _unwrap(_load(source), notes)
    tensors = {}
    for name, value in state.items():
        tensor = _as_stored(name, value, notes)
        if tensor is not None:
            tensors[name] = tensor.contiguous().clone()  # the clone parts tensors that share memory
    if tensors and all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
        notes.append(TOLERANCES[Tolerance.MODULE_PREFIX].capitalize() + ".")
    if not tensors:
        raise InputError.single("no_tensors", f"{source} holds no weights.", field="file")
    save_file(tensors, target)
    return notes


def _load(source: Path) -> Any:
    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError.single(
            "unreadable_file", f"{source} cannot be read: {error.strerror or error}.", field="file"
        ) from None
    except UNPICKLING_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        message = f"{source} is not a plain checkpoint of tensors, so it was not loaded. {SAVE_PLAINLY} ({reason})"
        raise InputError.single("not_plain_tensors", message, field="file") from None


def _unwrap(content: Any, notes: list[str]) -> Mapping[str, Any]:
    for key in STATE_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            notes.append(f"The weights were taken from the checkpoint's entry {key!r}.")
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        message = "The file holds no table of named tensors. " + SAVE_PLAINLY
        raise InputError.single("not_plain_tensors", message, field="file")
    return content


def _as_stored(name: str, value: Any, notes: list[str]) -> torch.Tensor | None:
    if not isinstance(value, torch.Tensor):
        notes.append(f"{name} was left out: it is no tensor.")
        return None
    if value.layout is not torch.strided or value.is_quantized:
        message = f"{name} is a sparse or quantised tensor. Save the model with plain dense weights."
        raise InputError.single("not_plain_tensors", message, field="file")
    if value.dtype in KEPT_DTYPES:
        return value
    if value.dtype is torch.float64:
        notes.append(f"{name} was cast from float64 to float32.")
        return value.to(torch.float32)
    if not value.is_floating_point() and name.endswith(INDEX_BUFFERS):
        return value.to(torch.int64)
    notes.append(f"{name} was left out: its type {str(value.dtype).removeprefix('torch.')} is not accepted.")
    return None
