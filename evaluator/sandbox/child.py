"""The sandboxed process: reads one job from standard input, does it, sends messages over the pipe named in it.

Runs as `python -I -m evaluator.sandbox.child`. Sees one view of a release and the open files of a checkpoint.
"""

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from evaluator.answering.material import open_material
from evaluator.answering.progress import Progress, StageClock
from evaluator.answering.settings import RunSettings
from evaluator.answers import Protocol
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.registry import get_architecture
from evaluator.errors import EvaluationFailed, InputError
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.sandbox.frames import Kind, write_frame, write_json
from evaluator.weights.checkpoint import Checkpoint, read_checkpoint

PR_SET_PDEATHSIG = 1
PROGRESS_S = 0.2  # between two messages of one stage


def main() -> int:
    """Do the job on standard input. The last message says how it ended; anything else is a crash."""
    _die_with_parent()
    sys.modules["transformers"] = None  # type: ignore[assignment]  # open_clip does without: no hub code, 0.6 s less
    spec = json.load(sys.stdin)
    with os.fdopen(spec["results_fd"], "wb") as pipe, ExitStack() as stack:
        files, base = (
            {name: stack.enter_context(os.fdopen(fd, "rb")) for name, fd in spec[fds].items()}
            for fds in ("weights_fds", "base_fds")
        )
        try:
            weights = read_checkpoint(files, base=base)  # most wrong files are refused before torch is imported
            write_json(pipe, Kind.RESULT, TASKS[spec["task"]](spec, weights, pipe))
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


def _validate(spec: dict[str, Any], weights: Checkpoint, pipe: BinaryIO) -> dict[str, Any]:
    from evaluator.weights.check import check_weights

    return check_weights(weights, get_architecture(spec["architecture"]))


def _answer(spec: dict[str, Any], weights: Checkpoint, pipe: BinaryIO) -> dict[str, Any]:
    import torch

    from evaluator.answering.run import answer_split

    settings = RunSettings(
        protocol=Protocol(spec["protocol"]), device=Device(spec["device"]), precision=Precision(spec["precision"])
    )
    architecture = get_architecture(spec["architecture"])
    clock = StageClock(architecture.family, _sparse(pipe))
    try:
        with open_material(Path(spec["release"]), Split(spec["split"]), architecture, PixelCache()) as material:
            run = answer_split(
                material, weights, architecture, settings, clock, weights_sha256=spec["weights_sha256"],
                sandbox=spec["sandbox"],
            )  # fmt: skip
    except torch.OutOfMemoryError:
        raise MemoryError from None
    write_frame(pipe, Kind.ANSWERS, _as_stream(run.answers))
    if run.embeddings is not None:
        write_frame(pipe, Kind.EMBEDDINGS, run.embeddings["embedding"].tobytes())
    run.record["weights"] |= weights.adapter_facts()
    return run.record


def _as_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


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


TASKS = {"validate": _validate, "answer": _answer}

if __name__ == "__main__":
    sys.exit(main())
