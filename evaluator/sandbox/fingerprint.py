"""When one child may go on where another stopped. In: a job; out: a name that both must share."""

import hashlib
import json
from dataclasses import asdict

from evaluator.answering.settings import BATCH_SIZES
from evaluator.answering.versions import code_digest, versions
from evaluator.encoders.choices import Device
from evaluator.release.read import read_info
from evaluator.sandbox.command import has_gpu
from evaluator.sandbox.jobs import AnswerJob


def fingerprint(job: AnswerJob) -> str:
    """SHA-256 of all that decides the numbers: weights, release, code, precision, kind of device, batch sizes."""
    kind = "cuda" if job.device is not Device.CPU and has_gpu() else "cpu"
    facts = {
        "weights": job.weights_sha256, "release": read_info(job.release).hash, "split": job.split,
        "architecture": job.architecture, "protocol": job.protocol, "precision": job.precision, "device": kind,
        "batch_sizes": asdict(BATCH_SIZES[kind]), "code": code_digest(), "versions": versions(),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
