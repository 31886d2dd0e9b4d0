"""What the first model of a process pays once, paid before there is a model. In: a device; out: nothing.

Imports, the tokenizer that most models share, and one pass of a tiny untrained model, in which the libraries load what
they put off. Without it a second is lost between a job and its first image.
"""

import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

import evaluator.answering.run  # noqa: F401
from evaluator.architectures.folders import ENVIRONMENT
from evaluator.architectures.registry import get_architecture
from evaluator.encoders import open_clip
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.device import prepare_device
from evaluator.errors import EvaluationFailed

SMALLEST = "ubench-tiny"


def warm_up(wanted: Device) -> None:
    """Get this process ready for a model on `wanted`; a device that is missing or sick is the job's to report."""
    try:
        device = prepare_device(wanted)
    except EvaluationFailed:
        return
    if ENVIRONMENT in os.environ:
        import evaluator.encoders.transformers_contrastive  # noqa: F401  what organisers place is mostly transformers'
    architecture = get_architecture(SMALLEST)
    with torch.random.fork_rng(devices=[]):
        model = open_clip.build_model(architecture).to(device)
    encoder = open_clip.wrap_model(model, architecture, device, Precision.FP32)
    encoder.encode_images(np.zeros((2, architecture.image_px, architecture.image_px, 3), np.uint8))
    encoder.encode_texts(["warm", "up"])
    pc.equal(pa.chunked_array([["warm"]]), "up")  # pyarrow imports pandas here, where it is installed
