"""Mixtures of checkpoints of one architecture. In: checkpoints and their weights; out: tensors, one at a time, or a
safetensors file of them.

Two checkpoints mix as θ(α) = lerp(base, tuned, α), several as their weighted mean, in float32. Buffers of whole numbers
cannot be mixed: they are the last checkpoint's.
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, BinaryIO

import torch

from evaluator.architectures.architecture import Architecture
from evaluator.encoders.loading import Expected, expected_tensors
from evaluator.errors import InputError
from evaluator.weights.checkpoint import Checkpoint
from evaluator.weights.header import EXAMPLES, INDEX_BUFFERS
from evaluator.weights.keys import KeyMatch, match_keys
from evaluator.weights.mixture import check_mixture
from evaluator.weights.tensors import arrange_one, map_tensors

PADDING = 8  # safetensors' data begin at a multiple of it


@dataclass(frozen=True, kw_only=True)
class Member(Mapping[str, torch.Tensor]):
    """A checkpoint by its architecture's names: every tensor once, as stored or, under an adapter, merged anew at each
    touch. Of names that share one tensor the last stands for all, as it does in a loaded model."""

    match: KeyMatch
    expected: Expected
    stored: Mapping[str, torch.Tensor]
    names: tuple[str, ...]
    checkpoint: Checkpoint = field(repr=False)

    def __getitem__(self, name: str) -> torch.Tensor:
        if name in self.match.zeros:
            return torch.zeros(self.expected.shapes[name])
        return arrange_one(self.stored, self.match, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class Differences:
    """The tensors of two members by name: equal in value, of other values, and whole numbers that differ."""

    equal: tuple[str, ...]
    interpolated: tuple[str, ...]
    copied: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """JSON, as it stands in the record of a sweep and of a merge."""
        return {
            "equal_tensors": len(self.equal), "interpolated_tensors": len(self.interpolated),
            "copied_from_tuned": list(self.copied),
        }  # fmt: skip


def match_pair(base: Checkpoint, tuned: Checkpoint, architecture: Architecture) -> tuple[Member, Member]:
    """Base and tuned by the names of the tuned model's architecture, whatever layouts they were stored in.

    Raises InputError: `base_other_architecture` with what does not fit, and for the tuned checkpoint as
    `match_architecture`.
    """
    expected = expected_tensors(architecture)
    try:
        theirs = match_member(tuned, expected)
    except InputError as error:
        raise InputError([replace(problem, field="tuned") for problem in error.problems], error.counts) from error
    try:
        return match_member(base, expected), theirs
    except InputError as error:
        reasons = " ".join(dict.fromkeys(problem.message for problem in error.problems))
        message = (f"The base has other tensors than {architecture.name}, the architecture of the tuned model, so "
                   f"nothing lies between the two. Name the base that it was tuned from. {reasons}")  # fmt: skip
        raise InputError.single("base_other_architecture", message, field="base") from error


def match_member(weights: Checkpoint, expected: Expected) -> Member:
    """A checkpoint by an architecture's names. Raises InputError as `match_architecture`, and for an adapter that
    stands on another base."""
    keys = match_keys(weights.shapes, expected.shapes, tied=expected.tied)
    order = list(expected.shapes)
    doubles = {name for group in expected.tied for name in sorted(group, key=order.index)[:-1]}
    return Member(
        match=keys, expected=expected, stored=map_tensors(weights, keys.sources), checkpoint=weights,
        names=tuple(name for name in order if name not in doubles),
    )  # fmt: skip


def compare_members(base: Member, tuned: Member) -> Differences:
    """Which tensors differ. Reads everything; InputError `non_finite_weights` names the tensors that hold NaN or
    infinite values."""
    found: dict[str, list[str]] = {"equal": [], "interpolated": [], "copied": []}
    broken: dict[str, list[str]] = {"base": [], "tuned": []}
    for name in tuned:
        ours, theirs = base[name], tuned[name]
        broken["base"] += [name] if not torch.isfinite(ours).all() else []
        broken["tuned"] += [name] if not torch.isfinite(theirs).all() else []
        if torch.equal(ours.float(), theirs.float()):
            found["equal"].append(name)
        else:
            found["copied" if name in tuned.expected.integers else "interpolated"].append(name)
    for side, names in broken.items():
        if names:
            raise non_finite(f"The {side} checkpoint", names, side)
    return Differences(**{kind: tuple(names) for kind, names in found.items()})


def non_finite(whose: str, names: Sequence[str], place: str) -> InputError:
    """What is told of weights that hold NaN or infinite values."""
    shown = ", ".join(names[:EXAMPLES]) + (" …" if len(names) > EXAMPLES else "")
    message = f"{whose} has {len(names):,} tensors with NaN or infinite values: {shown}. Take an earlier checkpoint."
    return InputError.single("non_finite_weights", message, field=place)


def interpolate(base: torch.Tensor, tuned: torch.Tensor, alpha: float, out: torch.Tensor | None = None) -> torch.Tensor:
    """lerp(base, tuned, alpha) in float32, into `out` where there is one; at 0 and 1 exactly the one or the other."""
    if alpha in (0.0, 1.0):
        end = tuned if alpha else base
        return end.float() if out is None else out.copy_(end)
    if out is None:
        return torch.lerp(base.float(), tuned.float(), alpha)
    return torch.lerp(base.float(), tuned.float(), alpha, out=out)


def mean(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Σ weight · tensor, in float32: of two as `interpolate`, of more summed in float64."""
    if len(tensors) == 2:
        return interpolate(tensors[0], tensors[1], weights[1])
    total = torch.zeros(tensors[0].shape, dtype=torch.float64)
    for tensor, weight in zip(tensors, weights, strict=True):
        total += tensor.double() * weight
    return total.float()


def write_merged(
    file: BinaryIO, checkpoints: Sequence[Checkpoint], weights: Sequence[float], architecture: Architecture
) -> dict[str, Any]:
    """Write the weighted mean of the checkpoints as one safetensors file, by the architecture's names, in float32.

    One tensor after the other: memory holds one of each checkpoint. Of names that share one tensor, one is written.
    Returns facts (JSON): tensors, bytes, tolerated (per checkpoint) and `Differences.facts` of the first and the last.
    Raises InputError: `merge_weights`, `part_other_architecture`, `non_finite_weights`.
    """
    check_mixture(weights)
    expected = expected_tensors(architecture)
    members = [_part(number, each, expected, architecture) for number, each in enumerate(checkpoints, 1)]
    last = members[-1]
    whole = {name for name in last if name in expected.integers and name.endswith(INDEX_BUFFERS)}
    header = _header({name: (expected.shapes[name], name in whole) for name in last})
    file.write(header)
    found: dict[str, list[str]] = {"equal": [], "interpolated": [], "copied": []}
    for name in last:
        tensors = [member[name] for member in members]
        for number, tensor in enumerate(tensors, 1):
            if not torch.isfinite(tensor).all():
                raise non_finite(f"Checkpoint {number}", [name], "parts")
        is_equal = all(torch.equal(tensor.float(), tensors[-1].float()) for tensor in tensors[:-1])
        is_copied = is_equal or name in expected.integers
        found["equal" if is_equal else "copied" if is_copied else "interpolated"].append(name)
        merged = tensors[-1] if is_copied else mean(tensors, weights)
        stored = merged.to(torch.int64 if name in whole else torch.float32)
        file.write(stored.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return {
        "tensors": len(last), "bytes": file.tell(), "tolerated": [member.match.facts() for member in members],
        **Differences(**{kind: tuple(names) for kind, names in found.items()}).facts(),
    }  # fmt: skip


def _part(number: int, weights: Checkpoint, expected: Expected, architecture: Architecture) -> Member:
    try:
        return match_member(weights, expected)
    except InputError as error:
        raise InputError([
            replace(problem, code="part_other_architecture", field="parts",
                    message=f"Checkpoint {number} does not fit {architecture.name}: {problem.message}")
            for problem in error.problems
        ]) from error  # fmt: skip


def _header(tensors: Mapping[str, tuple[tuple[int, ...], bool]]) -> bytes:
    """The start of a safetensors file of these shapes, those marked as whole numbers in int64, all else in float32."""
    entries, start = {}, 0
    for name, (shape, is_whole) in tensors.items():
        stop = start + prod(shape) * (8 if is_whole else 4)
        entries[name] = {"dtype": "I64" if is_whole else "F32", "shape": shape, "data_offsets": [start, stop]}
        start = stop
    raw = json.dumps(entries, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % PADDING)
    return struct.pack("<Q", len(raw)) + raw
