"""The one place that sets device and precision. In: a wish; out: a torch device and how to compute on it."""

import os
import resource
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from evaluator.encoders.choices import Device, Precision
from evaluator.errors import EvaluationFailed

DRIVER = Path("/sys/module/nvidia/version")


def prepare_device(wanted: Device) -> torch.device:
    """Choose the device and make this process reproducible: no TF32, no autotuned or order-dependent kernels.

    Raises EvaluationFailed `no_gpu` (retry: another worker may have one) when CUDA was asked for and is absent.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is order-dependent without it
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    if wanted is Device.CPU or (wanted is Device.AUTO and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise EvaluationFailed("no_gpu", "A GPU was asked for, but torch sees none here. Use --device cpu.", retry=True)
    return torch.device("cuda")


def computing_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which a model of float32 weights runs at `precision`."""
    if precision is Precision.FP32:
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def device_name(device: torch.device) -> str:
    """The device's name for run.json: the GPU's model, or cpu with its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"


def peak_memory(device: torch.device) -> int:
    """The most bytes this process used so far: of the GPU's memory, or of the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def driver() -> str | None:
    """The version of the NVIDIA driver; None where there is none."""
    try:
        return DRIVER.read_text("ascii").strip()
    except OSError:
        return None
