"""The architecture that all demo models share. In: a seed; out: an untrained model with its tokenizer."""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
from dataclasses import dataclass
from typing import cast

import torch
from open_clip import CLIP, SimpleTokenizer

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.open_clip import build_model

__all__ = ["ARCHITECTURE", "CLIP", "SimpleTokenizer", "Tiny", "build_tiny"]

ARCHITECTURE = "ubench-tiny"


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """A model and what is needed to feed it."""

    model: CLIP
    tokenizer: SimpleTokenizer
    architecture: Architecture


def build_tiny(seed: int) -> Tiny:
    """A model of `ubench-tiny` with weights drawn from `seed`."""
    architecture = get_architecture(ARCHITECTURE)
    torch.manual_seed(seed)
    return Tiny(
        model=cast(CLIP, build_model(architecture)),
        tokenizer=SimpleTokenizer(context_length=architecture.context_length),
        architecture=architecture,
    )
