"""What run.json says of how a run was made. In: what the run used; out: JSON."""

import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from evaluator import __version__
from evaluator.answering.settings import RunSettings
from evaluator.encoders.architecture import Architecture, Family
from evaluator.encoders.choices import Precision
from evaluator.encoders.device import device_name, driver
from evaluator.release.schema import ReleaseInfo, Split

SCHEMA = 1
LIBRARIES = ("torch", "torchvision", "open_clip_torch", "timm", "safetensors", "numpy", "pillow", "pyarrow",
             "transformers", "tokenizers")  # fmt: skip


def describe_run(
    info: ReleaseInfo, split: Split, architecture: Architecture, settings: RunSettings, device: torch.device
) -> dict[str, Any]:
    """The part of run.json that is known before the first answer; with the weights' hash it makes a run repeatable."""
    return {
        "schema": SCHEMA,
        "release": {"name": info.name, "version": info.version, "hash": info.hash},
        "split": split.value,
        "protocol": settings.protocol.value,
        "architecture": {
            "name": architecture.name,
            "activation": architecture.activation,
            "preprocessing": str(architecture.preprocessing),
            "image_px": architecture.image_px,
            "context_length": architecture.context_length,
        },
        "device": {"kind": device.type, "name": device_name(device), "driver": driver()},
        "precision": settings.precision.value,
        "official_precision": settings.precision is Precision.FP32,
        "max_new_tokens": settings.max_new_tokens if architecture.family is Family.GENERATIVE else None,
        "batch_sizes": asdict(settings.sizes) if settings.sizes else None,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The evaluator, Python and every library that touches the numbers."""
    found = {"evaluator": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
