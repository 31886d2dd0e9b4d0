"""What a run may choose about its computation. Torch-free: the process that starts a sandbox names these too."""

from enum import StrEnum


class Device(StrEnum):
    """Where to compute; auto takes a GPU where there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """fp32 (TF32 off) is a release's official precision; bf16 runs are marked."""

    FP32 = "fp32"
    BF16 = "bf16"
