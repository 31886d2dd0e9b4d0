"""Checkpoints of the tiny architecture and safetensors files byte by byte. In: what to write; out: files."""

import json
import struct
from pathlib import Path
from typing import Any

TINY = "ubench-tiny"


def safetensors_bytes(header: Any, data: bytes = b"", *, header_bytes: int | None = None) -> bytes:
    """A file of this header, valid or not: a dict is dumped, text and bytes are taken as they are."""
    if not isinstance(header, str | bytes):
        header = json.dumps(header)
    raw = header.encode("utf-8", "surrogatepass") if isinstance(header, str) else header
    return struct.pack("<Q", len(raw) if header_bytes is None else header_bytes) + raw + data


def entry(shape: list[int], start: int = 0, end: int | None = None, dtype: str = "F32") -> dict[str, Any]:
    """One tensor of a header; `end` defaults to what the shape needs at 4 bytes an item."""
    if end is None:
        end = start + 4
        for size in shape:
            end = start + (end - start) * size
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def tiny_state(seed: int = 0) -> dict[str, Any]:
    """The state_dict (float32 tensors) of a randomly initialised tiny model."""
    import torch

    from evaluator.architectures.registry import get_architecture
    from evaluator.encoders.open_clip import build_model

    torch.manual_seed(seed)
    return build_model(get_architecture(TINY)).state_dict()


def write_shards(state: dict[str, Any], folder: Path, n_shards: int = 3) -> Path:
    """Write tensors as shards with their index, as Hugging Face names them; returns the index's path."""
    weight_map = {}
    for number in range(n_shards):
        part = {name: state[name] for name in sorted(state)[number::n_shards]}
        shard = write_state(part, folder / f"model-{number + 1:05}-of-{n_shards:05}.safetensors")
        weight_map |= dict.fromkeys(part, shard.name)
    index = {"metadata": {"total_size": sum(t.numel() * t.element_size() for t in state.values())}}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index | {"weight_map": weight_map}, indent=2))
    return path


def write_state(state: dict[str, Any], path: Path) -> Path:
    """Write tensors with the safetensors library; returns the path."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, path)
    return path
