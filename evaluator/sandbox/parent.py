"""Gives a child one job and checks what it sends. In: a job; out: facts or answers. Touches no tensor, no key."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluator.answering.material import Material, open_material
from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import Progress, Stage, StageClock
from evaluator.answering.questions import default_protocol, require_protocol
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Architecture, Family
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed, InputError, Problem
from evaluator.release.info import info_as_json
from evaluator.sandbox.checks import checked_answers, checked_embeddings, most_bytes, rows_asked
from evaluator.sandbox.frames import JSON_CAPS, MIB, BrokenFrames, FrameReader, Kind, pack_parts, read_json, read_part
from evaluator.sandbox.handover import as_stream, bytes_of, descriptors, sealed, weights_paths
from evaluator.sandbox.jobs import AnswerJob, ChildAnswers
from evaluator.sandbox.limits import JobLimits
from evaluator.sandbox.process import Child, discard, spare, start_child
from evaluator.sandbox.supervise import supervise

MAX_DIMENSIONS = 8192
LIBRARIES_BYTES = 8 * 1024 * MIB  # address space that torch and its threads map before any weights

OnProgress = Callable[[dict[str, Any]], None]
ShouldStop = Callable[[], bool]


def validate_in_child(
    weights: Path, architecture: str, limits: JobLimits | None = None, *, base: Path | None = None
) -> dict[str, Any]:
    """Check a checkpoint fully in a sandbox; returns the facts of `evaluator.weights.check.check_weights`.

    weights: a safetensors file, the index beside its shards, or the weights of an adapter beside its config, which
    stands on `base`.

    Raises InputError with the submitter's problems, EvaluationFailed when the check itself broke.
    """
    get_architecture(architecture)
    paths = weights_paths(weights, base)
    size = bytes_of(paths)
    if limits is None:
        seconds = 60 + size // (50 * MIB)
        limits = JobLimits(wall_s=4 * seconds, cpu_s=seconds, memory_bytes=LIBRARIES_BYTES + 3 * size)
    # Without a spare, a child that imports torch only when a file deserves it.
    child = spare.take(Device.CPU) if spare.is_kept else start_child(device=Device.CPU, warm=False)
    spec = {"task": "validate", "architecture": architecture}
    with descriptors(paths) as files:
        return result_of(supervise(child, spec, files, caps=JSON_CAPS, limits=limits))


def probe_in_child(device: Device, timeout_s: float = 120.0) -> None:
    """Let a fresh child compute a little on `device`. Raises EvaluationFailed when the device is not fit for work."""
    child = start_child(device=device, warm=False)
    spec = {"task": "probe", "device": device}
    result_of(supervise(child, spec, {}, caps=JSON_CAPS, limits=JobLimits(wall_s=timeout_s)))


def answer_in_child(
    job: AnswerJob,
    on_progress: OnProgress = lambda progress: None,
    should_stop: ShouldStop = lambda: False,
    resume: Resume | None = None,
) -> ChildAnswers:
    """Answer one split in a sandbox. `on_progress` gets `Progress.as_dict`; `should_stop` is asked 5 times a second;
    `resume` names what an earlier child of the same job gave, and keeps what this one gives.

    Raises InputError (the submitter's to fix) or EvaluationFailed (`stopped`, `timeout`, `out_of_memory`, …).
    Whether a weak sandbox will do is the caller's to decide before, from `sandbox_level`.
    """
    architecture = get_architecture(job.architecture)
    protocol = job.protocol or default_protocol(architecture.family)
    require_protocol(protocol, architecture.family)
    paths = weights_paths(job.weights, job.base)
    child = spare.take(job.device)
    try:
        with _material(job, architecture, on_progress, should_stop) as material:
            return _answer(
                job, architecture, protocol, material, paths, child, on_progress, should_stop, resume or Resume()
            )
    finally:
        if child.process.poll() is None:
            discard(child)


def _answer(
    job: AnswerJob, architecture: Architecture, protocol: Protocol, material: Material, paths: Mapping[str, Path],
    child: Child, on_progress: OnProgress, should_stop: ShouldStop, resume: Resume,
) -> ChildAnswers:  # fmt: skip
    family, items = architecture.family, material.items
    rows = rows_asked(items, material.questions, family, protocol)
    memory = None if child.gpu else LIBRARIES_BYTES + 4 * bytes_of(paths) + 4096 * MIB
    spec = {
        "task": "answer", "architecture": job.architecture, "split": job.split, "protocol": protocol,
        "device": job.device, "precision": job.precision, "weights_sha256": job.weights_sha256,
        "sandbox": child.level, "blank": job.blank_images, "info": info_as_json(material.info),
    }  # fmt: skip
    answer_bytes = most_bytes(rows, protocol, family)
    embedding_bytes = items.num_rows * MAX_DIMENSIONS * 4 if family is Family.CONTRASTIVE else 0
    caps = {
        **JSON_CAPS, Kind.ANSWERS: answer_bytes, Kind.EMBEDDINGS: embedding_bytes,
        Kind.PART: answer_bytes + embedding_bytes + 4096 * items.num_rows,
    }  # fmt: skip
    messages = Messages(items.num_rows, on_progress, resume)
    contents = {
        "items": as_stream(items), "questions": as_stream(material.questions), "parts": pack_parts(resume.done)
    }  # fmt: skip
    with sealed(contents) as tables, descriptors(paths) as weights:
        files = {**weights, **tables, "pixels": material.pixels.fileno()}
        frames = supervise(
            child, spec, files, caps=caps, limits=JobLimits(wall_s=job.timeout_s, memory_bytes=memory),
            on_message=messages, should_stop=should_stop,
        )  # fmt: skip
    record = result_of(frames)
    try:
        answers = checked_answers(frames.payloads.get(Kind.ANSWERS, b""), rows, protocol, family)
        embeddings = (
            checked_embeddings(frames.payloads.get(Kind.EMBEDDINGS, b""), items)
            if family is Family.CONTRASTIVE else None
        )  # fmt: skip
    except (BrokenFrames, pa.ArrowException) as error:
        message = f"The evaluation process sent answers that do not fit the questions: {error}."
        raise EvaluationFailed("child_misbehaved", message, retry=False) from error
    return ChildAnswers(answers=answers, embeddings=embeddings, run=record)


@contextmanager
def _material(
    job: AnswerJob, architecture: Architecture, on_progress: OnProgress, should_stop: ShouldStop
) -> Iterator[Material]:
    """The split's material; the images are decoded here, by our own code, so that no stranger's weights can alter what
    the next model sees."""

    def tell(progress: Progress) -> None:
        on_progress(progress.as_dict())

    clock = StageClock(architecture.family, tell)

    def prepared(done: int, total: int) -> None:
        if should_stop():
            raise EvaluationFailed("stopped", "The evaluation was stopped.", retry=False)
        clock.report(Stage.PIXELS, done, total)

    with open_material(
        job.release, job.split, architecture, job.cache, prepared, blank=job.blank_images
    ) as material:  # fmt: skip
        yield material


class Messages:
    """What a child says while it works: progress is passed on, parts are checked for their place among `items`, and for
    holding one alone where they must, and kept."""

    def __init__(self, items: int, on_progress: OnProgress, resume: Resume, *, one_by_one: bool = False) -> None:
        self._items, self._on_progress, self._resume, self._one_by_one = items, on_progress, resume, one_by_one
        self._next = resume.start

    def __call__(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.PROGRESS:
            self._on_progress(read_json(payload))
        else:
            part: Part = read_part(payload, start=self._next, items=self._items)
            if self._one_by_one and part.stop != part.start + 1:
                raise BrokenFrames(f"a part of {part.stop - part.start} at once")
            self._resume.on_part(part)
            self._next = part.stop


def result_of(frames: FrameReader) -> dict[str, Any]:
    """The child's last word as a value or as the error it stands for, InputError or EvaluationFailed."""
    last = frames.last
    assert last is not None, "supervise raises when there is none"
    try:
        content = read_json(frames.payloads[last])
        if last is Kind.RESULT:
            return content
        if last is Kind.REFUSED:
            raise InputError([Problem(**problem) for problem in content["problems"]], content["counts"])
        raise EvaluationFailed(str(content["code"]), str(content["message"]), retry=bool(content["retry"]))
    except (BrokenFrames, KeyError, TypeError, ValueError) as error:
        message = "The evaluation process ended with a message that cannot be read."
        raise EvaluationFailed("child_misbehaved", message, retry=False) from error
