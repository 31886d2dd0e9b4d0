"""When one child may go on where another stopped. In: a job; out: a name that both must share."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluator.answering.settings import BATCH_SIZES
from evaluator.answering.versions import code_digest, versions
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.release.read import read_info
from evaluator.sandbox.command import has_gpu
from evaluator.sandbox.jobs import AnswerJob, SweepJob


def fingerprint(job: AnswerJob) -> str:
    """SHA-256 of all that decides the numbers: weights, release, code, precision, kind of device, batch sizes."""
    return _sha256({"weights": job.weights_sha256, "split": job.split, "blank": job.blank_images, **_common(job)})


def sweep_fingerprint(job: SweepJob) -> str:
    """The same of a sweep: both checkpoints, every split and every α."""
    return _sha256({
        "base": job.base_sha256, "tuned": job.tuned_sha256, "splits": list(job.splits), "alphas": list(job.alphas),
        **_common(job),
    })  # fmt: skip


def _common(job: AnswerJob | SweepJob) -> dict[str, Any]:
    kind = "cuda" if job.device is not Device.CPU and has_gpu() else "cpu"
    architecture = get_architecture(job.architecture)
    return {
        "release": read_info(job.release).hash, "architecture": job.architecture,
        "folder": _digest_of(architecture.folder), "protocol": job.protocol, "precision": job.precision,
        "device": kind, "batch_sizes": asdict(BATCH_SIZES[kind]), "code": code_digest(), "versions": versions(),
    }  # fmt: skip


def _sha256(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _digest_of(folder: Path | None) -> str | None:
    """Of the config, tokenizer and processor that organisers placed; None where there are none."""
    if folder is None:
        return None
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".safetensors"):
        digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
