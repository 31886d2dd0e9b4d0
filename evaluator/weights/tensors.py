"""The tensors of a validated file. In: an open file and its Header; out: torch tensors that read on touch.

Works on a descriptor, never on a path: a sandboxed child holds the file open but may not open it by name, and what
was hashed is what gets loaded.
"""

import hashlib
import mmap
from io import BufferedReader
from math import prod

import torch

from evaluator.weights.header import Header

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "I64": torch.int64}


def map_tensors(file: BufferedReader, header: Header) -> dict[str, torch.Tensor]:
    """Name → tensor on the CPU, in file order: a private map of the file that lives as long as they do."""
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return {
        name: torch.frombuffer(
            mapped, dtype=DTYPES[tensor.dtype], count=prod(tensor.shape), offset=header.data_start + tensor.start
        ).reshape(tensor.shape)
        for name, tensor in header.tensors.items()
    }


def sha256_of(file: BufferedReader) -> str:
    """SHA-256 of all bytes of an open file, in hex."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
