"""Starts a child for one job and checks what it sends. In: a job; out: facts or answers. Touches no tensor, no key."""

import io
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evaluator.answering.embeddings import Embeddings, named_embeddings
from evaluator.answering.questions import ask, require_protocol
from evaluator.answers import ANSWERS, ROW_ID
from evaluator.encoders.choices import Device
from evaluator.encoders.registry import get_architecture
from evaluator.errors import EvaluationFailed, InputError, Problem
from evaluator.release.read import read_items, read_questions
from evaluator.sandbox.command import Exposure, has_gpu, sandboxed, unsandboxed
from evaluator.sandbox.frames import JSON_CAPS, MIB, BrokenFrames, FrameReader, Kind, read_json
from evaluator.sandbox.jobs import AnswerJob, ChildAnswers
from evaluator.sandbox.level import SandboxLevel, sandbox_level
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.supervise import supervise
from evaluator.weights.checkpoint import checkpoint_paths, open_files

INNER = (sys.executable, "-I", "-m", "evaluator.sandbox.child")
RELEASE_INSIDE = "/release"
MAX_DIMENSIONS = 8192
LIBRARIES_BYTES = 8 * 1024 * MIB  # address space that torch and its threads map before any weights
SCORE_SLACK = 1e-3  # bf16 cosines of equal vectors may exceed 1


def validate_in_child(
    weights: Path, architecture: str, limits: Limits | None = None, *, base: Path | None = None
) -> dict[str, Any]:
    """Check a checkpoint fully in a sandbox; returns the facts of `evaluator.weights.check.check_weights`.

    weights: a safetensors file, the index beside its shards, or the weights of an adapter beside its config, which
    stands on `base`.

    Raises InputError with the submitter's problems, EvaluationFailed when the check itself broke.
    """
    get_architecture(architecture)
    paths, base_paths = checkpoint_paths(weights), checkpoint_paths(base) if base else {}
    size = _bytes_of(paths) + _bytes_of(base_paths)
    if limits is None:
        seconds = 60 + size // (50 * MIB)
        limits = Limits(wall_s=4 * seconds, cpu_s=seconds, memory_bytes=LIBRARIES_BYTES + 3 * size)
    spec = {"task": "validate", "architecture": architecture}
    frames = _run(spec, paths, base=base_paths, release=None, limits=limits, gpu=False, caps=JSON_CAPS)
    return _result(frames)


def answer_in_child(
    job: AnswerJob,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> ChildAnswers:
    """Answer one split in a sandbox. `on_progress` gets `Progress.as_dict`; `should_stop` is asked 5 times a second.

    Raises InputError (the submitter's to fix) or EvaluationFailed (`stopped`, `timeout`, `out_of_memory`, …).
    Whether a weak sandbox will do is the caller's to decide before, from `sandbox_level`.
    """
    require_protocol(job.protocol, get_architecture(job.architecture).family)
    items = read_items(job.release, job.split)
    asked = ask(items, read_questions(job.release, job.split), job.protocol)
    gpu = Device(job.device) is not Device.CPU and has_gpu()
    paths, base_paths = checkpoint_paths(job.weights), checkpoint_paths(job.base) if job.base else {}
    memory = None if gpu else LIBRARIES_BYTES + 4 * (_bytes_of(paths) + _bytes_of(base_paths)) + 4096 * MIB
    spec = {
        "task": "answer", "architecture": job.architecture, "split": job.split, "protocol": job.protocol,
        "device": job.device, "precision": job.precision, "weights_sha256": job.weights_sha256,
    }  # fmt: skip
    caps = {
        **JSON_CAPS,
        Kind.ANSWERS: 2 * asked.rows.nbytes + 64 * asked.rows.num_rows + 8 * len(asked.text_of) + MIB,
        Kind.EMBEDDINGS: items.num_rows * MAX_DIMENSIONS * 4,
    }
    frames = _run(
        spec, paths, base=base_paths, release=job.release, limits=Limits(wall_s=job.timeout_s, memory_bytes=memory),
        gpu=gpu, caps=caps, on_progress=on_progress, should_stop=should_stop,
    )  # fmt: skip
    record = _result(frames)
    try:
        answers = _checked_answers(frames.payloads.get(Kind.ANSWERS, b""), asked.rows)
        embeddings = _checked_embeddings(frames.payloads.get(Kind.EMBEDDINGS, b""), items)
    except (BrokenFrames, pa.ArrowException) as error:
        message = f"The evaluation process sent answers that do not fit the questions: {error}."
        raise EvaluationFailed("child_misbehaved", message, retry=False) from error
    return ChildAnswers(answers=answers, embeddings=embeddings, run=record)


def exposed(release: Path | None, *, gpu: bool) -> Exposure:
    """What a child sees of the release view handed to it: one mount per entry, for the view's own folder may be
    private to us and its content is not."""
    entries = sorted(release.iterdir()) if release is not None else []
    return Exposure(files={f"{RELEASE_INSIDE}/{entry.name}": entry for entry in entries}, gpu=gpu)


def _run(
    spec: dict[str, Any],
    weights: Mapping[str, Path],
    *,
    base: Mapping[str, Path],
    release: Path | None,
    limits: Limits,
    gpu: bool,
    caps: Mapping[Kind, int],
    on_progress: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FrameReader:
    level = sandbox_level()
    spec = {**spec, "sandbox": level.value}
    if level is SandboxLevel.BUBBLEWRAP:
        argv = sandboxed(INNER, exposed(release, gpu=gpu), limits)
        spec["release"] = RELEASE_INSIDE
    else:
        argv = unsandboxed(INNER, limits)
        spec["release"] = str(release.absolute()) if release is not None else None
    with open_files(weights) as files, open_files(base) as base_files:
        fds, base_fds = ({name: file.fileno() for name, file in each.items()} for each in (files, base_files))
        return supervise(
            argv, {**spec, "weights_fds": fds, "base_fds": base_fds}, pass_fds=[*fds.values(), *base_fds.values()],
            caps=caps, wall_s=limits.wall_s, on_progress=on_progress, should_stop=should_stop,
        )  # fmt: skip


def _bytes_of(paths: Mapping[str, Path]) -> int:
    return sum(path.stat().st_size for path in paths.values())


def _result(frames: FrameReader) -> dict[str, Any]:
    """The child's last word as a value or as the error it stands for."""
    last = frames.last
    assert last is not None, "supervise raises when there is none"
    content = read_json(frames.payloads[last])
    if last is Kind.RESULT:
        return content
    try:
        if last is Kind.REFUSED:
            raise InputError([Problem(**problem) for problem in content["problems"]], content["counts"])
        raise EvaluationFailed(str(content["code"]), str(content["message"]), retry=bool(content["retry"]))
    except (KeyError, TypeError, ValueError) as error:
        message = "The evaluation process ended with a message that cannot be read."
        raise EvaluationFailed("child_misbehaved", message, retry=False) from error


def _checked_answers(payload: bytes, rows: pa.Table) -> pa.Table:
    """The child's answers, which must be exactly the rows asked, in order, with a score for every option."""
    with pa.ipc.open_stream(io.BytesIO(payload)) as reader:
        answers = reader.read_all().combine_chunks()
    if answers.schema != ANSWERS:
        raise BrokenFrames("other columns")
    answers.validate(full=True)
    if any(not answers[name].equals(rows[name]) for name in ROW_ID):
        raise BrokenFrames("other rows than were asked")
    n_options = rows["options"].combine_chunks().value_lengths().to_numpy(zero_copy_only=False)
    n_scores = answers["scores"].combine_chunks().value_lengths()
    chosen = answers["chosen"].combine_chunks()
    if n_scores.null_count or not np.array_equal(n_scores.to_numpy(), n_options):
        raise BrokenFrames("a question without a score for every option")
    if chosen.null_count or not ((chosen.to_numpy() >= -1) & (chosen.to_numpy() < n_options)).all():
        raise BrokenFrames("a chosen option that is not on the list")
    scores = answers["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    if not (np.abs(scores) <= 1 + SCORE_SLACK).all():  # also false for NaN
        raise BrokenFrames("a score that is no cosine")
    return answers


def _checked_embeddings(payload: bytes, items: pa.Table) -> Embeddings:
    values = np.frombuffer(payload, np.float32) if len(payload) % 4 == 0 else np.empty(0, np.float32)
    if not len(values) or len(values) % items.num_rows or not np.isfinite(values).all():
        raise BrokenFrames("embeddings of another size, or not finite")
    return named_embeddings(items, values.reshape(items.num_rows, -1))
