"""Releases of any size for benchmarks, without importing anything. In: numbers; out: a release folder.

Images are few and stand under many names, so that a thousand take no time to make; each is decoded for itself.
"""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from evaluator.release.info import write_info
from evaluator.release.schema import (
    CLASSIFICATION,
    COARSE_KINDS,
    ITEMS,
    QUESTIONS,
    DatasetInfo,
    ReleaseInfo,
    Split,
    SplitInfo,
)

DIFFERENT_IMAGES = 16
DATASETS, CLASSES, OPTIONS = 4, 12, 5


def micrograph(px: int, seed: int) -> bytes:
    """A PNG of bright round spots with a camera's noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:px, :px]
    spots = rng.uniform(0, px, (12, 2))
    light = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / (px / 12) ** 2) for a, b in spots)
    pixels = 40 + 150 * np.minimum(light, 1)[..., None] * rng.uniform(0.4, 1, 3) + rng.normal(0, 8, (px, px, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_release(folder: Path, n_images: int, px: int) -> Path:
    """A release with one split, `test`: six kinds of question about each image, as two captions and a question."""
    images = folder / "images/test"
    images.mkdir(parents=True)
    for seed in range(min(DIFFERENT_IMAGES, n_images)):
        (folder / f"{seed}.png").write_bytes(micrograph(px, seed))
    rng = np.random.default_rng(0)
    items, questions = [], []
    for n in range(n_images):
        name = f"{n:06d}"
        os.link(folder / f"{n % DIFFERENT_IMAGES}.png", images / f"{name}.png")
        item = {"dataset": f"set_{n % DATASETS}", "image_id": name}
        items.append({**item, "file": f"images/test/{name}.png", "width": px, "height": px})
        for kind in (*COARSE_KINDS, CLASSIFICATION):
            about = item["dataset"] if kind == CLASSIFICATION else "all"
            chosen = rng.permutation(CLASSES)[:OPTIONS]
            for variant in (None, 0, 1):
                form = "" if variant is None else f" seen as in form {variant} of a long enough caption"
                options = [f"{kind} number {i} of {about}{form}" for i in chosen] + [f"none of the above{form}"]
                questions.append(
                    {**item, "question": kind, "variant": variant, "text": f"Which {kind}?", "options": options}
                )
    pq.write_table(pa.Table.from_pylist(items, ITEMS), folder / "items.parquet")
    pq.write_table(pa.Table.from_pylist(questions, QUESTIONS), folder / "questions.parquet")
    sizes = SplitInfo(items=n_images, questions=len(questions), sources=n_images)
    write_info(ReleaseInfo(
        name="Bench", version="1", hash=f"{n_images} {px}", public_items=True, splits={Split.TEST: sizes},
        source_rule={}, datasets={f"set_{n}": DatasetInfo(title=f"Set {n}", taxonomy="other") for n in range(DATASETS)},
    ), folder)  # fmt: skip
    return folder
