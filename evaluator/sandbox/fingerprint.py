"""When one child may go on where another stopped. In: a job; out: a name that both must share."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from evaluator.answering.settings import BATCH_SIZES
from evaluator.answering.versions import code_digest, versions
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.release.read import read_info
from evaluator.sandbox.command import has_gpu
from evaluator.sandbox.jobs import AnswerJob


def fingerprint(job: AnswerJob) -> str:
    """SHA-256 of all that decides the numbers: weights, release, code, precision, kind of device, batch sizes."""
    kind = "cuda" if job.device is not Device.CPU and has_gpu() else "cpu"
    architecture = get_architecture(job.architecture)
    facts = {
        "weights": job.weights_sha256, "release": read_info(job.release).hash, "split": job.split,
        "architecture": job.architecture, "folder": _digest_of(architecture.folder), "protocol": job.protocol,
        "precision": job.precision, "device": kind, "blank": job.blank_images, "batch_sizes": asdict(BATCH_SIZES[kind]),
        "code": code_digest(), "versions": versions(),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _digest_of(folder: Path | None) -> str | None:
    """Of the config, tokenizer and processor that organisers placed; None where there are none."""
    if folder is None:
        return None
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and path.suffix != ".safetensors"):
        digest.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
