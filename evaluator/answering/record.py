"""What run.json says of how a run was made. In: what the run used; out: JSON."""

from dataclasses import asdict
from typing import Any

import torch

from evaluator.answering.settings import RunSettings
from evaluator.answering.versions import versions
from evaluator.architectures.architecture import Architecture, Family
from evaluator.encoders.choices import Precision
from evaluator.encoders.device import device_name, driver
from evaluator.release.schema import ReleaseInfo, Split

SCHEMA = 1


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
