"""One run: a checkpoint answers a split. In: a release, weights and choices; out: Run, or a folder with its files."""

import json
import platform
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluator import __version__
from evaluator.answering.contrastive import BATCH_SIZES, BatchSizes, answer
from evaluator.answering.embeddings import embeddings_table, write_embeddings
from evaluator.answering.progress import OnProgress, Stage, StageClock
from evaluator.answering.questions import ask, require_protocol
from evaluator.answers import Protocol, write_answers
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.device import device_name, prepare_device
from evaluator.encoders.open_clip import load_encoder, match_architecture
from evaluator.encoders.registry import Architecture
from evaluator.errors import InputError
from evaluator.release.read import read_info, read_items, read_questions
from evaluator.release.schema import Split
from evaluator.weights.check import file_sha256
from evaluator.weights.header import read_header

RUN_SCHEMA = 1
LIBRARIES = ("torch", "torchvision", "open_clip_torch", "timm", "safetensors", "numpy", "pillow", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class Run:
    """answers: ANSWERS; embeddings: see embeddings.py; record: the content of run.json."""

    answers: pa.Table
    embeddings: pa.Table
    record: dict[str, Any]


def answer_split(
    release: Path,
    split: Split,
    weights: Path,
    architecture: Architecture,
    *,
    protocol: Protocol = Protocol.CAPTIONS,
    device: Device = Device.AUTO,
    precision: Precision = Precision.FP32,
    sizes: BatchSizes | None = None,
    weights_sha256: str | None = None,
    sandbox: str = "none",
    on_progress: OnProgress | None = None,
) -> Run:
    """Answer `split` with the checkpoint `weights` and record how.

    weights_sha256: refuse a file that is not the one validated. Raises InputError for what the caller must change,
    EvaluationFailed for a run that broke.
    """
    started = time.monotonic()
    clock = StageClock(on_progress)
    require_protocol(protocol, architecture.family)
    info, items = read_info(release), read_items(release, split)
    asked = ask(items, read_questions(release, split), protocol)
    clock.report(Stage.LOAD, 0, 1)
    digest = file_sha256(weights)
    if weights_sha256 is not None and digest != weights_sha256:
        message = "The weights differ from the file that was validated; nothing was loaded. Submit them again."
        raise InputError.single("weights_changed", message, field="file")
    header = read_header(weights)
    keys = match_architecture(header, architecture)
    torch_device = prepare_device(device)
    encoder = load_encoder(weights, keys, architecture, device=torch_device, precision=precision)
    clock.report(Stage.LOAD, 1, 1)
    sizes = sizes or BATCH_SIZES[torch_device.type]
    answered = answer(encoder, release, items, asked, sizes, clock)
    image_seconds = clock.seconds[Stage.IMAGES]
    seconds = {stage.value: round(took, 3) for stage, took in clock.seconds.items()}
    record = {
        "schema": RUN_SCHEMA,
        "release": {"name": info.name, "version": info.version, "hash": info.hash},
        "split": split.value,
        "protocol": protocol.value,
        "weights": {"sha256": digest, "bytes": header.file_bytes, "tolerated": keys.facts()},
        "architecture": {
            "name": architecture.name,
            "activation": architecture.activation,
            "preprocessing": str(architecture.preprocessing),
            "image_px": architecture.image_px,
            "context_length": architecture.context_length,
        },
        "device": {"kind": torch_device.type, "name": device_name(torch_device)},
        "precision": precision.value,
        "official_precision": precision is Precision.FP32,
        "batch_sizes": asdict(sizes),
        "counts": {
            "images": items.num_rows,
            "rows": asked.rows.num_rows,
            "texts": len(asked.texts),
            "truncated_texts": answered.truncated_texts,
        },
        "seconds": {**seconds, "total": round(time.monotonic() - started, 3)},
        "images_per_s": round(items.num_rows / max(image_seconds, 1e-9), 1),
        "sandbox": sandbox,
        "versions": _versions(),
    }
    return Run(answers=answered.answers, embeddings=embeddings_table(items, answered.embeddings), record=record)


def write_run(run: Run, folder: Path) -> None:
    """Write answers.parquet, embeddings.parquet and run.json into `folder`, which is made when absent."""
    folder.mkdir(parents=True, exist_ok=True)
    write_answers(run.answers, folder / "answers.parquet")
    write_embeddings(run.embeddings, folder / "embeddings.parquet")
    (folder / "run.json").write_text(json.dumps(run.record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    found = {"evaluator": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
