"""What one run may choose. Torch-free: the process that starts a sandbox names these too."""

from dataclasses import dataclass

from evaluator.answers import Protocol
from evaluator.encoders.choices import Device, Precision


@dataclass(frozen=True, kw_only=True)
class BatchSizes:
    """How much goes through the model at once; part of what makes a run reproducible."""

    images: int
    texts: int


BATCH_SIZES = {"cpu": BatchSizes(images=64, texts=128), "cuda": BatchSizes(images=256, texts=1024)}


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The defaults are the official run. `sizes` None takes BATCH_SIZES of the device."""

    protocol: Protocol = Protocol.CAPTIONS
    device: Device = Device.AUTO
    precision: Precision = Precision.FP32
    sizes: BatchSizes | None = None
