"""The one place that sets device and precision. In: a wish; out: a torch device and how to compute on it."""

import os
import resource
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch

from evaluator.encoders.choices import Device, Precision
from evaluator.errors import EvaluationFailed

GPU_ERRORS = ("CUDA error", "CUDA driver error", "CUDNN_STATUS", "CUBLAS_STATUS", "NVML", "device-side assert")
NO_MEMORY_ON_CPU = "DefaultCPUAllocator: can't allocate memory"
DRIVER = Path("/sys/module/nvidia/version")


def prepare_device(wanted: Device) -> torch.device:
    """Choose the device and make this process reproducible: no TF32, no autotuned or order-dependent kernels.

    Raises EvaluationFailed (retry: another worker may do better): `no_gpu` when CUDA was asked for and is absent,
    `gpu_sick` when it is there and does not compute.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is order-dependent without it
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Else all new memory is filled with NaN first, to show who reads it unwritten: a pass over every activation.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # set on the module
    if wanted is Device.CPU or (wanted is Device.AUTO and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise EvaluationFailed("no_gpu", "A GPU was asked for, but torch sees none here. Use --device cpu.", retry=True)
    device = torch.device("cuda")
    _try_out(device)
    return device


def _try_out(device: torch.device) -> None:
    """Multiply whole numbers, whose product every sound device gives exactly. Raises EvaluationFailed `gpu_sick`."""
    numbers = torch.arange(256 * 256, dtype=torch.float32).remainder(7).view(256, 256)
    try:
        found = (numbers.to(device) @ numbers.to(device)).cpu()
    except RuntimeError as error:
        raise sickness(error) or error from error
    if not torch.equal(found, numbers @ numbers):
        raise EvaluationFailed("gpu_sick", "The GPU multiplies wrongly.", retry=True)


def sickness(error: RuntimeError) -> EvaluationFailed | None:
    """`gpu_sick` for an error of the GPU itself: what ran on it is not to blame, and another worker may do better."""
    if any(sign in str(error) for sign in GPU_ERRORS):
        return EvaluationFailed("gpu_sick", f"The GPU failed: {str(error).splitlines()[0][:200]}", retry=True)
    return None


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error says that a device's memory is full."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or NO_MEMORY_ON_CPU in str(error)
