"""The tensors of a validated checkpoint. In: open files and their headers; out: torch tensors that read on touch."""

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from math import prod

import torch

from evaluator.errors import InputError
from evaluator.weights.adapter import Adapter, AdapterChange, changed_tensors
from evaluator.weights.checkpoint import Checkpoint
from evaluator.weights.header import EXAMPLES, Header
from evaluator.weights.keys import KeyMatch
from evaluator.weights.layouts import THIRDS, Change, Source

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "I64": torch.int64}


def map_tensors(weights: Checkpoint, names: Mapping[str, str] | None = None) -> Mapping[str, torch.Tensor]:
    """Name → tensor on the CPU, in file order: a private map of each file that lives as long as they do.

    With an adapter, the tensors it changes come merged, as float32, made anew at each touch. names: what the base's
    tensors are called besides, see `changed_tensors`, which raises InputError for an adapter of another base.
    """
    stored = {
        name: tensor
        for shard, header in weights.headers.items()
        for name, tensor in _map_file(weights.files[shard], header).items()
    }
    if weights.adapter is None:
        return stored
    changes = changed_tensors(weights.adapter, weights.shapes, names)
    return MergedTensors(stored=stored, changes=changes, sides=_finite_sides(weights.adapter))


@dataclass(frozen=True, kw_only=True)
class MergedTensors(Mapping[str, torch.Tensor]):
    """A base under its adapter. One merged tensor at a time: all at once would take as much memory as the model."""

    stored: Mapping[str, torch.Tensor]  # the base's, as they are
    changes: Mapping[str, AdapterChange]
    sides: Mapping[str, torch.Tensor]  # the adapter's

    def __getitem__(self, name: str) -> torch.Tensor:
        change = self.changes.get(name)
        if change is None:
            return self.stored[name]
        pair = change.pair
        return merge(
            self.stored[name], self.sides[pair.a], self.sides[pair.b], pair.scaling, transposed=change.transposed
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)


def merge(weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scaling: float, *, transposed: bool) -> torch.Tensor:
    """W + scaling · B·A in float32, whatever the three are stored as.

    weight (out, in, …), or (in, out) where `transposed`; a (rank, in, …); b (out, rank, 1 …): a convolution's kernel
    is one more pair of axes of `in`.
    """
    delta = b.float().flatten(1) @ a.float().flatten(1)
    delta = delta.T if transposed else delta.reshape(weight.shape)
    return weight.float() + delta * scaling


def _finite_sides(adapter: Adapter) -> dict[str, torch.Tensor]:
    sides = _map_file(adapter.weights, adapter.header)
    broken = [name for name, tensor in sides.items() if not torch.isfinite(tensor).all()]
    if broken:
        shown = ", ".join(broken[:EXAMPLES]) + (" …" if len(broken) > EXAMPLES else "")
        message = f"{len(broken):,} tensors of the adapter hold NaN or infinite values: {shown}. Send an earlier one."
        raise InputError.single("non_finite_weights", message, field="file")
    return sides


def arrange(stored: Mapping[str, torch.Tensor], keys: KeyMatch) -> dict[str, torch.Tensor]:
    """The tensors of a file under the architecture's names, each as the architecture shapes it; `zeros` are not made.

    Two files that match one architecture are comparable tensor by tensor after this, whatever their layouts were.
    """
    return {name: arrange_one(stored, keys, name) for name in (*keys.sources, *keys.made)}


def arrange_one(stored: Mapping[str, torch.Tensor], keys: KeyMatch, name: str) -> torch.Tensor:
    """One tensor of `arrange`, by the architecture's name for it."""
    source = keys.sources.get(name)
    return stored[source] if source is not None else make(stored, keys.made[name])


def arrange_changed(merged: MergedTensors, keys: KeyMatch) -> Iterator[tuple[str, torch.Tensor]]:
    """What an adapter changes, as `arrange` would give it, one tensor in memory at a time."""
    for name, source in keys.sources.items():
        if source in merged.changes:
            yield name, merged[source]
    for name, made in keys.made.items():
        if any(source in merged.changes for source in made.names):
            yield name, make(merged, made)


def make(stored: Mapping[str, torch.Tensor], source: Source) -> torch.Tensor:
    """The tensor that `source` says."""
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
