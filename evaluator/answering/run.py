"""One run: a checkpoint answers a split. In: a release, weights, settings; out: Run, or a folder with its files."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluator.answering.contrastive import answer
from evaluator.answering.embeddings import Embeddings, named_embeddings, write_embeddings
from evaluator.answering.progress import OnProgress, Stage, StageClock
from evaluator.answering.questions import ask, require_protocol
from evaluator.answering.record import describe_run
from evaluator.answering.settings import BATCH_SIZES, RunSettings
from evaluator.answers import write_answers
from evaluator.encoders.device import prepare_device
from evaluator.encoders.open_clip import load_encoder, match_architecture
from evaluator.encoders.registry import Architecture
from evaluator.errors import InputError
from evaluator.release.read import read_info, read_items, read_questions
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True)
class Run:
    """answers: ANSWERS, one row per question asked. record: the content of run.json."""

    answers: pa.Table
    embeddings: Embeddings
    record: dict[str, Any]


def answer_split(
    release: Path,
    split: Split,
    weights: Checkpoint,
    architecture: Architecture,
    settings: RunSettings,
    *,
    weights_sha256: str | None = None,
    sandbox: str = "none",
    on_progress: OnProgress | None = None,
) -> Run:
    """Answer `split` with the open checkpoint `weights` and record how.

    weights_sha256: refuse any but the one validated. Raises InputError for what the caller must change,
    EvaluationFailed for a run that broke.
    """
    started = time.monotonic()
    clock = StageClock(on_progress)
    require_protocol(settings.protocol, architecture.family)
    info, items = read_info(release), read_items(release, split)
    asked = ask(items, read_questions(release, split), settings.protocol)

    clock.report(Stage.LOAD, 0, 1)
    digest = weights.sha256()
    if weights_sha256 is not None and digest != weights_sha256:
        message = "The weights differ from the file that was validated; nothing was loaded. Submit them again."
        raise InputError.single("weights_changed", message, field="file")
    keys = match_architecture(weights, architecture)
    device = prepare_device(settings.device)
    encoder = load_encoder(weights, keys, architecture, device=device, precision=settings.precision)
    clock.report(Stage.LOAD, 1, 1)

    sizes = settings.sizes or BATCH_SIZES[device.type]
    answered = answer(encoder, release, items, asked, sizes, clock)
    record = {
        **describe_run(info, split, architecture, replace(settings, sizes=sizes), device),
        "weights": {"sha256": digest, "bytes": weights.file_bytes, "tolerated": keys.facts()},
        "counts": {"images": items.num_rows, "rows": asked.rows.num_rows, "texts": len(asked.texts),
                   "truncated_texts": answered.truncated_texts},
        "seconds": {stage.value: round(took, 3) for stage, took in clock.seconds.items()}
                   | {"total": round(time.monotonic() - started, 3)},
        "images_per_s": round(items.num_rows / max(clock.seconds[Stage.IMAGES], 1e-9), 1),
        "sandbox": sandbox,
    }  # fmt: skip
    return Run(answers=answered.answers, embeddings=named_embeddings(items, answered.embeddings), record=record)


def write_run(run: Run, folder: Path) -> None:
    """Write answers.parquet, embeddings.npz and run.json into `folder`, which is made when absent."""
    folder.mkdir(parents=True, exist_ok=True)
    write_answers(run.answers, folder / "answers.parquet")
    write_embeddings(run.embeddings, folder / "embeddings.npz")
    (folder / "run.json").write_text(json.dumps(run.record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
