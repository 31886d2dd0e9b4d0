"""One run: a checkpoint answers a split. In: material, weights, settings; out: Run, or a folder with its files."""

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluator.answering.agreement import agreement_with_fp32
from evaluator.answering.answered import Answered
from evaluator.answering.embeddings import Embeddings, named_embeddings, write_embeddings
from evaluator.answering.families import contrastive, detection, generative
from evaluator.answering.families.localisation import ask_localisation
from evaluator.answering.material import Material, open_material
from evaluator.answering.parts import Resume
from evaluator.answering.progress import OnProgress, Stage, StageClock
from evaluator.answering.questions import ask, require_protocol
from evaluator.answering.record import describe_run
from evaluator.answering.settings import BATCH_SIZES, BatchSizes, RunSettings
from evaluator.answers import write_answers
from evaluator.architectures.architecture import Architecture, Family
from evaluator.encoders.choices import Precision
from evaluator.encoders.device import peak_memory, prepare_device
from evaluator.encoders.loading import load_model, match_architecture
from evaluator.errors import InputError
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True)
class Run:
    """answers: ANSWERS, one row per question asked. record: the content of run.json."""

    answers: pa.Table
    embeddings: Embeddings | None
    record: dict[str, Any]


def answer_split(
    material: Material,
    weights: Checkpoint,
    architecture: Architecture,
    settings: RunSettings,
    clock: StageClock,
    *,
    weights_sha256: str | None = None,
    sandbox: str = "none",
    resume: Resume | None = None,
) -> Run:
    """Answer the split in `material` with the open checkpoint `weights` and record how.

    weights_sha256: refuse any but the one validated. Raises InputError for what the caller must change,
    EvaluationFailed for a run that broke.
    """
    started = time.monotonic()
    resume = resume or Resume()
    require_protocol(settings.protocol, architecture.family)
    clock.report(Stage.LOAD, 0, 1)
    digest = digest_of(weights, weights_sha256)
    keys = match_architecture(weights, architecture)
    device = prepare_device(settings.device)
    model = load_model(weights, keys, architecture, device=device, precision=settings.precision)
    clock.report(Stage.LOAD, 1, 1)

    sizes = settings.sizes or BATCH_SIZES[device.type]
    settings = replace(settings, sizes=sizes)
    answered = answer_material(model, architecture, material, settings, sizes, clock, resume)
    record = {
        **describe_run(material.info, material.split, architecture, settings, device),
        **answered.how,
        "images": "blank" if material.blank else "stored",
        "weights": {"sha256": digest, "bytes": weights.file_bytes, "tolerated": keys.facts(),
                    **weights.adapter_facts()},
        "counts": {"images": material.items.num_rows, "rows": answered.answers.num_rows, **answered.counts},
        "seconds": {stage.value: round(took, 3) for stage, took in clock.seconds.items()}
                   | {"total": round(time.monotonic() - started, 3)},
        "agreement": asdict(answered.agreement) if answered.agreement else None,
        "images_per_s": clock.images_per_s,
        "resumed_at": resume.start or None,
        "peak_memory_bytes": peak_memory(device),
        "sandbox": sandbox,
    }  # fmt: skip
    embeddings = None if answered.embeddings is None else named_embeddings(material.items, answered.embeddings)
    return Run(answers=answered.answers, embeddings=embeddings, record=record)


def digest_of(weights: Checkpoint, expected: str | None, field: str = "file") -> str:
    """The checkpoint's SHA-256. InputError `weights_changed` when it is not the one expected."""
    digest = weights.sha256()
    if expected is not None and digest != expected:
        message = "The weights differ from the file that was validated; nothing was loaded. Submit them again."
        raise InputError.single("weights_changed", message, field=field)
    return digest


def answer_release(
    release: Path,
    split: Split,
    weights: Checkpoint,
    architecture: Architecture,
    settings: RunSettings,
    *,
    cache: PixelCache | None = None,
    on_progress: OnProgress | None = None,
    blank_images: bool = False,
    **how: Any,
) -> Run:
    """`answer_split` on a split of a release folder, in this process. `cache`: where decoded images are kept;
    `blank_images`: show the model a grey image in place of each item's own (evaluator.pixels.blank)."""
    require_protocol(settings.protocol, architecture.family)
    clock = StageClock(architecture.family, on_progress)

    def prepared(done: int, total: int) -> None:
        clock.report(Stage.PIXELS, done, total)

    kept = cache or PixelCache()
    with open_material(release, split, architecture, kept, prepared, blank=blank_images) as material:
        return answer_split(material, weights, architecture, settings, clock, **how)


def answer_material(
    model: Any, architecture: Architecture, material: Material, settings: RunSettings, sizes: BatchSizes,
    clock: StageClock, resume: Resume,
) -> Answered:  # fmt: skip
    """The answers of a loaded model, whatever its family, to every row that its protocol asks. Errors as the family's
    own `answer`."""
    match architecture.family:
        case Family.CONTRASTIVE:
            asked = ask(material.items, material.questions, settings.protocol)
            crops = material.crops(architecture)
            answered = contrastive.answer(model, crops, asked, sizes, clock, resume)
            if settings.precision is Precision.FP32:
                return answered
            return replace(answered, agreement=agreement_with_fp32(model, crops, asked, answered, sizes))
        case Family.GENERATIVE:
            asked = ask(material.items, material.questions, settings.protocol)
            return generative.answer(model, material.images(), asked, settings, sizes, clock, resume)
        case Family.DETECTOR:
            looked_for = ask_localisation(material.items, material.questions)
            return detection.answer(model, material.images(), material.items, looked_for, sizes, clock, resume)


def write_run(run: Run, folder: Path) -> None:
    """Write answers.parquet, run.json and, where there are any, embeddings.npz into `folder`, made when absent."""
    folder.mkdir(parents=True, exist_ok=True)
    write_answers(run.answers, folder / "answers.parquet")
    if run.embeddings is not None:
        write_embeddings(run.embeddings, folder / "embeddings.npz")
    (folder / "run.json").write_text(json.dumps(run.record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
