"""Images of a folder through an encoder. In: a checkpoint, a recipe, files; out: one vector per distinct image.

Crops, batches and encoder are those with which a split is answered (evaluator.answering.families.contrastive).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.answering.families.contrastive import embed_images
from evaluator.answering.families.halving import Halving
from evaluator.answering.parts import Resume
from evaluator.answering.progress import Progress, Stage, StageClock
from evaluator.answering.settings import BATCH_SIZES
from evaluator.answering.versions import code_digest, versions
from evaluator.architectures.architecture import Architecture
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.device import device_name, prepare_device
from evaluator.encoders.loading import load_model, match_architecture
from evaluator.pixels.files import open_crops
from evaluator.suggest.images.develop import Recipe
from evaluator.suggest.prepare import Prepared, pixel_file, prepare
from evaluator.suggest.store import key_of, read_kept, write_kept
from evaluator.weights.checkpoint import Checkpoint


@dataclass(frozen=True, kw_only=True, eq=False)
class Embedded:
    """ids and vectors (n, d) float32, unit length, of distinct images; record: how, for run.json."""

    ids: list[str]
    vectors: NDArray[np.float32]
    prepared: Prepared
    record: dict[str, Any]


def embed_folder(
    folder: Path, ids: Sequence[str], recipe: Recipe, weights: Checkpoint, architecture: Architecture, *,
    device: Device, precision: Precision, keep: Path, on_progress: Callable[[Progress], None] | None = None,
) -> Embedded:  # fmt: skip
    """Embed the images, but those whose embeddings `keep` (an embeddings.npz) holds; then write all of them there.

    The architecture is contrastive. Raises InputError for weights of another architecture and for images that cannot
    be read, EvaluationFailed `non_finite_output` and those of the device.
    """
    form = architecture.crop_recipe
    assert form is not None, "contrastive models have one"
    keys = match_architecture(weights, architecture)
    chosen = prepare_device(device)
    made_with = _made_with(weights, architecture, recipe, precision, chosen.type)
    key = key_of({**made_with, "code": code_digest(), "versions": versions()})
    kept, clock = read_kept(keep, key), StageClock(architecture.family, on_progress)
    clock.report(Stage.PIXELS, 0, len(ids))
    with pixel_file() as file:
        prepared = prepare(
            folder, ids, recipe, form, kept, file, lambda done, of: clock.report(Stage.PIXELS, done, of)
        )  # fmt: skip
        file.flush()
        if prepared.fresh:
            clock.report(Stage.LOAD, 0, 1)
            encoder = load_model(weights, keys, architecture, device=chosen, precision=precision)
            clock.report(Stage.LOAD, 1, 1)
            crops = open_crops(file, len(prepared.fresh), form)
            found = embed_images(encoder, crops, Halving(BATCH_SIZES[chosen.type].images), clock, Resume())
            kept |= {prepared.digests[name]: vector for name, vector in zip(prepared.fresh, found, strict=True)}
    distinct = list(prepared.digests)
    digests = [prepared.digests[name] for name in distinct]
    vectors = np.stack([kept[digest] for digest in digests])
    write_kept(keep, distinct, digests, vectors, key)
    record = {
        **made_with, "device": {"kind": chosen.type, "name": device_name(chosen)}, "versions": versions(),
        "weights": {**made_with["weights"], "tolerated": keys.facts(), **weights.adapter_facts()},
        "images": {"files": len(ids), "distinct": len(distinct), "embedded": len(prepared.fresh),
                   "reused": len(distinct) - len(prepared.fresh)},
        "images_per_s": clock.images_per_s if prepared.fresh else None, "embeddings_key": key,
    }  # fmt: skip
    return Embedded(ids=distinct, vectors=vectors, prepared=prepared, record=record)


def _made_with(
    weights: Checkpoint, architecture: Architecture, recipe: Recipe, precision: Precision, device: str
) -> dict[str, Any]:
    """All that decides an embedding but the image and the code."""
    return {
        "weights": {"sha256": weights.sha256(), "bytes": weights.file_bytes},
        "architecture": {
            "name": architecture.name, "activation": architecture.activation, "image_px": architecture.image_px,
            "preprocessing": str(architecture.preprocessing), "config": key_of(dict(architecture.config)),
        },
        "pixels": recipe.as_dict(), "precision": precision.value, "device": device,
    }  # fmt: skip
