"""Weights that organisers placed with an architecture, for adapters to stand on. In: an Architecture; out: a path."""

from pathlib import Path

from evaluator.architectures.architecture import Architecture

NAMES = ("model.safetensors", "model.safetensors.index.json")


def own_weights(architecture: Architecture) -> Path | None:
    """The safetensors file, or the index beside its shards, in the architecture's folder; None where there is none."""
    if architecture.folder is None:
        return None
    return next((path for name in NAMES if (path := architecture.folder / name).is_file()), None)
