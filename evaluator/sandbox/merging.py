"""Lets a child merge checkpoints. In: a job; out: one safetensors file, its header checked. Touches no tensor, no key.

The child writes into a file without a name, which no path leads to, and the kernel holds it to the bytes that such a
merge can have. What it wrote is looked at when the child is gone.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed, InputError
from evaluator.sandbox import parent
from evaluator.sandbox.channel import MAX_FILES
from evaluator.sandbox.frames import JSON_CAPS, MIB
from evaluator.sandbox.handover import bytes_of, descriptors, weights_paths
from evaluator.sandbox.jobs import MergeJob
from evaluator.sandbox.limits import JobLimits, Limits
from evaluator.sandbox.parent import result_of
from evaluator.sandbox.process import start_child
from evaluator.sandbox.supervise import supervise
from evaluator.weights.header import read_open_header
from evaluator.weights.mixture import check_mixture

COPIED_AT_ONCE = 16 * MIB


def merge_in_child(job: MergeJob, out: BinaryIO) -> dict[str, Any]:
    """Write the weighted mean of the job's checkpoints into `out`, as `evaluator.weights.merging.write_merged` does.

    Returns its facts. Raises InputError (`merge_weights`, `part_other_architecture`, `weights_changed` …) or
    EvaluationFailed; `out` is untouched then.
    """
    get_architecture(job.architecture)
    check_mixture([part.weight for part in job.parts])
    paths: dict[str, Path] = {}
    most = 0
    for number, part in enumerate(job.parts):
        files = weights_paths(part.path, part.base, f"{number}/")
        most = max(most, 2 * bytes_of(files) + 4 * MIB)  # half precision becomes float32, and a header is written anew
        paths |= files
    if len(paths) >= MAX_FILES:
        message = f"These checkpoints are {len(paths):,} files together; at most {MAX_FILES - 1} can be merged at once."
        raise InputError.single("too_many_files", message, field="parts")
    beside = Path(out.name).parent if isinstance(getattr(out, "name", None), str) else None
    with tempfile.TemporaryFile(dir=beside) as written:
        facts = _merge(job, paths, written.fileno(), most)
        try:
            read_open_header(written)
        except InputError as error:
            message = "The merging process wrote no valid checkpoint."
            raise EvaluationFailed("child_misbehaved", message, retry=False) from error
        written.seek(0)
        shutil.copyfileobj(written, out, COPIED_AT_ONCE)
    return facts


def _merge(job: MergeJob, paths: Mapping[str, Path], out: int, most_bytes: int) -> dict[str, Any]:
    size = bytes_of(paths)
    seconds = 60 + size // (20 * MIB)
    limits = JobLimits(
        wall_s=4 * seconds, cpu_s=seconds, memory_bytes=parent.LIBRARIES_BYTES + 3 * size + most_bytes
    )  # fmt: skip
    child = start_child(device=Device.CPU, warm=False, limits=Limits(written_file_bytes=most_bytes))
    spec = {
        "task": "merge", "architecture": job.architecture, "weights": [part.weight for part in job.parts],
        "sha256": [part.sha256 for part in job.parts],
    }  # fmt: skip
    with descriptors(paths) as files:
        return result_of(supervise(child, spec, {**files, "out": out}, caps=JSON_CAPS, limits=limits))
