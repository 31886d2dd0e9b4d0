"""From a checkpoint to a model that answers, for every family. In: an Architecture and weights; out: the loaded model.

Models are built from the registry's config and filled by our own exact load. The libraries' loaders, which resize
embeddings, convert foreign layouts and unpickle, are never called.
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from evaluator.architectures.architecture import Architecture, Family, Library
from evaluator.encoders.choices import Precision
from evaluator.weights.checkpoint import Checkpoint
from evaluator.weights.header import Header
from evaluator.weights.keys import KeyMatch, match_keys
from evaluator.weights.tensors import MergedTensors, arrange, arrange_changed, map_tensors


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The tensors an architecture wants: name → shape, the groups of names that share one tensor, and the names of
    those that hold whole numbers."""

    shapes: dict[str, tuple[int, ...]]
    tied: tuple[frozenset[str], ...]
    integers: frozenset[str] = frozenset()


def maker_of(architecture: Architecture) -> ModuleType:
    """The module that makes models of this kind: it has `build_model(architecture)`, the untrained model on the default
    device, and `wrap_model(model, architecture, device, precision)`, the Encoder, Generator or Detector around it."""
    if architecture.library is Library.OPEN_CLIP:
        from evaluator.encoders import open_clip

        return open_clip
    match architecture.family:
        case Family.CONTRASTIVE:
            from evaluator.encoders import transformers_contrastive

            return transformers_contrastive
        case Family.GENERATIVE:
            from evaluator.generators import transformers

            return transformers
        case Family.DETECTOR:
            from evaluator.detectors import owl

            return owl


def expected_tensors(architecture: Architecture) -> Expected:
    """The tensors of an architecture, from a model on the meta device (no memory, milliseconds)."""
    with torch.device("meta"):
        state = maker_of(architecture).build_model(architecture).state_dict(keep_vars=True)
    groups: dict[int, set[str]] = {}
    for name, tensor in state.items():
        groups.setdefault(id(tensor), set()).add(name)
    tied = tuple(frozenset(names) for names in groups.values() if len(names) > 1)
    return Expected(
        shapes={name: tuple(tensor.shape) for name, tensor in state.items()}, tied=tied,
        integers=frozenset(name for name, tensor in state.items() if not tensor.is_floating_point()),
    )  # fmt: skip


def match_architecture(found: Header | Checkpoint, architecture: Architecture) -> KeyMatch:
    """Match a checkpoint's tensors with an architecture's; InputError lists every difference that is not tolerated."""
    expected = expected_tensors(architecture)
    return match_keys(found.shapes, expected.shapes, tied=expected.tied)


def load_model(
    weights: Checkpoint,
    keys: KeyMatch,
    architecture: Architecture,
    *,
    device: torch.device,
    precision: Precision,
) -> Any:
    """Build the architecture and fill every tensor from `weights` as float32. `keys` comes from match_architecture.

    Returns an Encoder, Generator or Detector, by the architecture's family.
    """
    model = fill_model(weights, keys, architecture)
    return maker_of(architecture).wrap_model(model.to(device), architecture, device, precision)


def fill_model(weights: Checkpoint, keys: KeyMatch, architecture: Architecture) -> torch.nn.Module:
    """The model alone, on the CPU, as `load_model` fills it. Of names that share one tensor the last one's counts."""
    model: torch.nn.Module = maker_of(architecture).build_model(architecture)
    found = map_tensors(weights, keys.sources)
    tensors = arrange(found.stored if isinstance(found, MergedTensors) else found, keys)
    state = model.state_dict()
    tensors |= {name: torch.zeros_like(state[name]) for name in keys.zeros}
    model.load_state_dict(tensors, strict=True, assign=False)
    if isinstance(found, MergedTensors):
        for name, tensor in arrange_changed(found, keys):
            state[name].copy_(tensor)
    return model
