"""What one run may choose. Torch-free: the process that starts a sandbox names these too."""

from dataclasses import dataclass

from evaluator.answers import Protocol
from evaluator.encoders.choices import Device, Precision


@dataclass(frozen=True, kw_only=True)
class BatchSizes:
    """How much goes through the model at once; part of what makes a run reproducible.

    images, texts: of a contrastive model. items: images with all their questions, of a generative one.
    """

    images: int
    texts: int
    items: int = 8


BATCH_SIZES = {
    "cpu": BatchSizes(images=64, texts=128, items=8), "cuda": BatchSizes(images=256, texts=1024, items=16),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The defaults are the official run. `sizes` None takes BATCH_SIZES of the device. max_new_tokens: the longest
    reply of a generative model."""

    protocol: Protocol = Protocol.CAPTIONS
    device: Device = Device.AUTO
    precision: Precision = Precision.FP32
    sizes: BatchSizes | None = None
    max_new_tokens: int = 32
