"""The tensors of a validated checkpoint. In: open files and their headers; out: torch tensors that read on touch."""

import mmap
from collections.abc import Mapping
from io import BufferedReader
from math import prod

import torch

from evaluator.weights.checkpoint import Checkpoint
from evaluator.weights.header import Header
from evaluator.weights.keys import KeyMatch
from evaluator.weights.layouts import THIRDS, Change, Source

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "I64": torch.int64}


def map_tensors(weights: Checkpoint) -> dict[str, torch.Tensor]:
    """Name → tensor on the CPU, in file order: a private map of each file that lives as long as they do."""
    return {
        name: tensor
        for shard, header in weights.headers.items()
        for name, tensor in _map_file(weights.files[shard], header).items()
    }


def arrange(stored: Mapping[str, torch.Tensor], keys: KeyMatch) -> dict[str, torch.Tensor]:
    """The tensors of a file under the architecture's names, each as the architecture shapes it; `zeros` are not made.

    Two files that match one architecture are comparable tensor by tensor after this, whatever their layouts were.
    """
    kept = {name: stored[source] for name, source in keys.sources.items()}
    return kept | {name: _make(stored, source) for name, source in keys.made.items()}


def _make(stored: Mapping[str, torch.Tensor], source: Source) -> torch.Tensor:
    tensors = [stored[name] for name in source.names]
    match source.change:
        case Change.STACKED:
            return torch.cat(tensors)
        case Change.TRANSPOSED:
            return tensors[0].T
        case Change.NONE:
            return tensors[0]
        case third:
            return tensors[0].chunk(3)[THIRDS.index(third)]


def _map_file(file: BufferedReader, header: Header) -> dict[str, torch.Tensor]:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return {
        name: torch.frombuffer(
            mapped, dtype=DTYPES[tensor.dtype], count=prod(tensor.shape), offset=header.data_start + tensor.start
        ).reshape(tensor.shape)
        for name, tensor in header.tensors.items()
    }
