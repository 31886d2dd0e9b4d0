"""Gives a child one sweep and checks what it sends. In: a job; out: answers at every α. Touches no tensor, no key."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from evaluator.answering.material import Material, open_material
from evaluator.answering.parts import Resume
from evaluator.answering.progress import Progress, Stage, StageClock
from evaluator.answering.questions import default_protocol, require_protocol
from evaluator.answering.sweeps.sweep_answers import check_alphas
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Architecture
from evaluator.architectures.registry import get_architecture
from evaluator.errors import EvaluationFailed, InputError
from evaluator.release.info import info_as_json
from evaluator.release.read import read_info, require_split
from evaluator.release.schema import Split
from evaluator.sandbox import parent
from evaluator.sandbox.checks import checked_sweep, most_sweep_bytes, rows_asked
from evaluator.sandbox.frames import JSON_CAPS, MIB, BrokenFrames, Kind, pack_parts
from evaluator.sandbox.handover import as_stream, bytes_of, descriptors, sealed, weights_paths
from evaluator.sandbox.jobs import ChildSweep, SweepJob
from evaluator.sandbox.limits import JobLimits
from evaluator.sandbox.parent import Messages, OnProgress, ShouldStop, result_of
from evaluator.sandbox.process import Child, discard, spare
from evaluator.sandbox.supervise import supervise

PART_SLACK = 64 * 1024  # of a part beside its rows


def sweep_in_child(
    job: SweepJob,
    on_progress: OnProgress = lambda progress: None,
    should_stop: ShouldStop = lambda: False,
    resume: Resume | None = None,
) -> ChildSweep:
    """Answer every split of `job` at every α in one sandbox. A part of `resume` is one α, by its number; everything
    else is as in `answer_in_child`.

    Raises InputError, `base_other_architecture` where base and tuned cannot be mixed, or EvaluationFailed.
    """
    architecture = get_architecture(job.architecture)
    protocol = job.protocol or default_protocol(architecture.family)
    require_protocol(protocol, architecture.family)
    job = replace(job, alphas=check_alphas(job.alphas))
    if not job.splits or len(set(job.splits)) < len(job.splits):
        raise InputError.single("bad_splits", "Name the splits to answer, each of them once.", field="split")
    paths = weights_paths(job.base, job.base_base, "base/") | weights_paths(job.tuned, job.tuned_base, "tuned/")
    child = spare.take(job.device)
    try:
        with _materials(job, architecture, on_progress, should_stop) as materials:
            return _sweep(
                job, architecture, protocol, materials, paths, child, on_progress, should_stop, resume or Resume()
            )
    finally:
        if child.process.poll() is None:
            discard(child)


def _sweep(
    job: SweepJob, architecture: Architecture, protocol: Protocol, materials: Mapping[Split, Material],
    paths: Mapping[str, Path], child: Child, on_progress: OnProgress, should_stop: ShouldStop, resume: Resume,
) -> ChildSweep:  # fmt: skip
    family = architecture.family
    rows = {
        split: rows_asked(material.items, material.questions, family, protocol) for split, material in materials.items()
    }
    pixels = {f"{split}/pixels": material.pixels.fileno() for split, material in materials.items()}
    mapped = sum(os.fstat(descriptor).st_size for descriptor in pixels.values())
    memory = None if child.gpu else parent.LIBRARIES_BYTES + 4 * bytes_of(paths) + mapped + 4096 * MIB
    spec = {
        "task": "sweep", "architecture": job.architecture, "splits": list(materials), "alphas": list(job.alphas),
        "protocol": protocol, "device": job.device, "precision": job.precision, "base_sha256": job.base_sha256,
        "tuned_sha256": job.tuned_sha256, "sandbox": child.level, "info": info_as_json(materials[job.splits[0]].info),
    }  # fmt: skip
    most = most_sweep_bytes(rows, len(job.alphas), protocol, family)
    caps = {**JSON_CAPS, Kind.ANSWERS: most, Kind.PART: most + PART_SLACK * len(job.alphas)}
    contents = {"parts": pack_parts(resume.done)}
    for split, material in materials.items():
        contents |= {f"{split}/items": as_stream(material.items), f"{split}/questions": as_stream(material.questions)}
    with sealed(contents) as tables, descriptors(paths) as weights:
        frames = supervise(
            child, spec, {**weights, **tables, **pixels}, caps=caps,
            limits=JobLimits(wall_s=job.timeout_s, memory_bytes=memory),
            on_message=Messages(len(job.alphas), on_progress, resume, one_by_one=True), should_stop=should_stop,
        )  # fmt: skip
    record = result_of(frames)
    try:
        payload = frames.payloads.get(Kind.ANSWERS, b"")
        answers = checked_sweep(payload, record, rows, job.alphas, protocol, family)
    except (BrokenFrames, pa.ArrowException) as error:
        message = f"The evaluation process sent answers that do not fit the questions: {error}."
        raise EvaluationFailed("child_misbehaved", message, retry=False) from error
    return ChildSweep(answers=answers, run=record)


@contextmanager
def _materials(
    job: SweepJob, architecture: Architecture, on_progress: OnProgress, should_stop: ShouldStop
) -> Iterator[dict[Split, Material]]:
    """The material of every split; the images are decoded here, once for all α."""

    def tell(progress: Progress) -> None:
        on_progress(progress.as_dict())

    info, clock = read_info(job.release), StageClock(architecture.family, tell, sweep=True)
    for split in job.splits:
        require_split(info, split)
    total = sum(info.splits[split].items for split in job.splits)

    def prepared_after(before: int) -> Callable[[int, int], None]:
        def prepared(done: int, _: int) -> None:
            if should_stop():
                raise EvaluationFailed("stopped", "The evaluation was stopped.", retry=False)
            clock.report(Stage.PIXELS, before + done, total)

        return prepared

    with ExitStack() as stack:
        materials, before = {}, 0
        for split in job.splits:
            materials[split] = stack.enter_context(
                open_material(job.release, split, architecture, job.cache, prepared_after(before))
            )
            before += info.splits[split].items
        yield materials
