"""The tensors of a validated checkpoint. In: open files and their headers; out: torch tensors that read on touch."""

import mmap
from io import BufferedReader
from math import prod

import torch

from evaluator.weights.checkpoint import Checkpoint
from evaluator.weights.header import Header

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "I64": torch.int64}


def map_tensors(weights: Checkpoint) -> dict[str, torch.Tensor]:
    """Name → tensor on the CPU, in file order: a private map of each file that lives as long as they do."""
    return {
        name: tensor
        for shard, header in weights.headers.items()
        for name, tensor in _map_file(weights.files[shard], header).items()
    }


def _map_file(file: BufferedReader, header: Header) -> dict[str, torch.Tensor]:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return {
        name: torch.frombuffer(
            mapped, dtype=DTYPES[tensor.dtype], count=prod(tensor.shape), offset=header.data_start + tensor.start
        ).reshape(tensor.shape)
        for name, tensor in header.tensors.items()
    }
