"""The sandboxed process: waits for one job, does it, sends messages over the socket it came by, and ends.

Runs as `python -I -m evaluator.sandbox.child SOCKET [DEVICE]`; with a device it imports torch and prepares the device
before its job comes. Sees the open files of one job and the architectures that organisers placed, nothing else.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

from evaluator.active_learning.names import Strategy
from evaluator.answering.material import Material
from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import Progress, StageClock
from evaluator.answering.settings import RunSettings
from evaluator.answers import Protocol
from evaluator.architectures.folders import ENVIRONMENT
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device, Precision
from evaluator.errors import EvaluationFailed, InputError
from evaluator.release.info import info_from_json
from evaluator.release.schema import Split
from evaluator.sandbox.channel import receive_job
from evaluator.sandbox.frames import Kind, unpack_parts, write_frame, write_json, write_part
from evaluator.sandbox.handover import as_stream, from_stream
from evaluator.sandbox.limits import JobLimits
from evaluator.weights.checkpoint import Checkpoint, read_checkpoint

PR_SET_PDEATHSIG = 1
PROGRESS_S = 0.2  # between two messages of one stage

Files = Mapping[str, int]  # open descriptors by name


def main() -> int:
    """Do the one job. The last message says how it ended; anything else is a crash."""
    _die_with_parent()
    if ENVIRONMENT not in os.environ:
        sys.modules["transformers"] = None  # type: ignore[assignment]  # no architecture needs it: two seconds less
    channel = socket.socket(fileno=int(sys.argv[1]))
    if len(sys.argv) > 2:
        from evaluator.encoders.warm_up import warm_up

        warm_up(Device(sys.argv[2]))
    job = receive_job(channel)
    if job is None:
        return 0
    spec, files = job
    JobLimits(**spec["limits"]).impose()  # from here on strangers' bytes are read
    with channel.makefile("wb") as pipe:
        try:
            write_json(pipe, Kind.RESULT, TASKS[spec["task"]](spec, files, pipe))
        except InputError as error:
            problems = [problem.as_dict() for problem in error.problems]
            write_json(pipe, Kind.REFUSED, {"problems": problems, "counts": error.counts})
        except EvaluationFailed as error:
            write_json(pipe, Kind.FAILED, {"code": error.code, "message": error.message, "retry": error.retry})
        except MemoryError:
            write_json(pipe, Kind.FAILED, OUT_OF_MEMORY)
    return 0


OUT_OF_MEMORY = {
    "code": "out_of_memory", "message": "The model did not fit into the memory of this worker.", "retry": True,
}  # fmt: skip


def _die_with_parent() -> None:
    """Without bubblewrap nothing else ends a child whose parent was killed."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _validate(spec: dict[str, Any], files: Files, pipe: BinaryIO) -> dict[str, Any]:
    with ExitStack() as stack:
        weights = _open_weights(files, stack)  # most wrong files are refused before torch is imported
        from evaluator.weights.check import check_weights

        return check_weights(weights, get_architecture(spec["architecture"]))


def _probe(spec: dict[str, Any], files: Files, pipe: BinaryIO) -> dict[str, Any]:
    from evaluator.encoders.device import device_name, prepare_device

    return {"device": device_name(prepare_device(Device(spec["device"])))}


def _answer(spec: dict[str, Any], files: Files, pipe: BinaryIO) -> dict[str, Any]:
    with ExitStack() as stack:
        weights = _open_weights(files, stack)
        from evaluator.answering.run import answer_split

        architecture = get_architecture(spec["architecture"])
        material = _material(spec, Split(spec["split"]), files, stack)
        with _device_errors():
            run = answer_split(
                material, weights, architecture, _settings(spec), StageClock(architecture.family, _sparse(pipe)),
                weights_sha256=spec["weights_sha256"], sandbox=spec["sandbox"],
                resume=_resume(files, material.items.num_rows, pipe),
            )  # fmt: skip
    write_frame(pipe, Kind.ANSWERS, as_stream(run.answers))
    if run.embeddings is not None:
        write_frame(pipe, Kind.EMBEDDINGS, run.embeddings["embedding"].tobytes())
    return run.record


def _sweep(spec: dict[str, Any], files: Files, pipe: BinaryIO) -> dict[str, Any]:
    with ExitStack() as stack:
        base, tuned = (_open_weights(files, stack, under) for under in ("base/", "tuned/"))
        from evaluator.answering.sweeps.sweep import sweep_splits

        architecture = get_architecture(spec["architecture"])
        materials = [_material(spec, Split(split), files, stack, f"{split}/") for split in spec["splits"]]
        with _device_errors():
            sweep = sweep_splits(
                materials, base, tuned, architecture, spec["alphas"], _settings(spec),
                StageClock(architecture.family, _sparse(pipe), sweep=True), base_sha256=spec["base_sha256"],
                tuned_sha256=spec["tuned_sha256"], sandbox=spec["sandbox"],
                resume=_resume(files, len(spec["alphas"]), pipe),
            )  # fmt: skip
    write_frame(pipe, Kind.ANSWERS, as_stream(sweep.given))
    return sweep.record


def _merge(spec: dict[str, Any], files: Files, pipe: BinaryIO) -> dict[str, Any]:
    with ExitStack() as stack:
        parts = [_open_weights(files, stack, f"{number}/") for number in range(len(spec["weights"]))]
        from evaluator.answering.run import digest_of
        from evaluator.weights.merging import write_merged

        for part, sha256 in zip(parts, spec["sha256"], strict=True):
            digest_of(part, sha256, "parts")
        with os.fdopen(files["out"], "wb") as out:
            return write_merged(out, parts, spec["weights"], get_architecture(spec["architecture"]))


def _suggest(spec: dict[str, Any], files: Files, pipe: BinaryIO) -> dict[str, Any]:
    contents = {}
    for name, descriptor in files.items():
        with os.fdopen(descriptor, "rb") as file:
            contents[name] = file.read()
    from evaluator.suggest.images.file import suggest_from_files
    from evaluator.suggest.vectors import VectorLimits

    try:
        return suggest_from_files(
            contents["embeddings"], contents.get("labels"), json.loads(contents["earlier"]),
            VectorLimits(**spec["vector_limits"]), count=spec["count"], strategy=Strategy(spec["strategy"]),
            seed=spec["seed"],
        )  # fmt: skip
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "can't allocate memory" not in str(error):
            raise
        message = "This needs more memory than is allowed. Send fewer images, or choose another strategy."
        raise EvaluationFailed("out_of_memory", message, retry=False) from error


def _material(spec: dict[str, Any], split: Split, files: Files, stack: ExitStack, under: str = "") -> Material:
    return Material(
        info=info_from_json(spec["info"]), split=split, items=from_stream(files[f"{under}items"]),
        questions=from_stream(files[f"{under}questions"]),
        pixels=stack.enter_context(os.fdopen(files[f"{under}pixels"], "rb")), blank=spec.get("blank", False),
    )  # fmt: skip


def _settings(spec: dict[str, Any]) -> RunSettings:
    return RunSettings(
        protocol=Protocol(spec["protocol"]), device=Device(spec["device"]), precision=Precision(spec["precision"])
    )


def _resume(files: Files, n_parts: int, pipe: BinaryIO) -> Resume:
    """What earlier children did of the job; what this one does goes to its parent part by part."""
    with os.fdopen(files["parts"], "rb") as parts:
        done = unpack_parts(parts.read(), n_parts)

    def send_part(part: Part) -> None:
        write_part(pipe, part)

    return Resume(done=done, on_part=send_part)


@contextmanager
def _device_errors() -> Iterator[None]:
    """What torch raises as RuntimeError alone, told apart: memory that ran out, a sick device, and bugs."""
    from evaluator.encoders.device import is_out_of_memory, sickness

    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise MemoryError from None
        if sick := sickness(error):
            raise sick from error
        raise


def _open_weights(files: Files, stack: ExitStack, under: str = "") -> Checkpoint:
    own, base = (
        {
            name.removeprefix(folder): stack.enter_context(os.fdopen(fd, "rb"))
            for name, fd in files.items() if name.startswith(folder)
        } for folder in (f"{under}weights/", f"{under}base/")
    )  # fmt: skip
    return read_checkpoint(own, base=base)


def _sparse(pipe: BinaryIO) -> Callable[[Progress], None]:
    """Send progress at most every PROGRESS_S, but always the first and last of a stage."""
    sent_at = 0.0

    def send(progress: Progress) -> None:
        nonlocal sent_at
        now = time.monotonic()
        if 0 < progress.done < progress.total and now - sent_at < PROGRESS_S:
            return
        sent_at = now
        write_json(pipe, Kind.PROGRESS, progress.as_dict())

    return send


TASKS = {
    "validate": _validate, "probe": _probe, "answer": _answer, "sweep": _sweep, "merge": _merge, "suggest": _suggest,
}  # fmt: skip

if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # taking the libraries down in order takes longer than some jobs, and all is said
