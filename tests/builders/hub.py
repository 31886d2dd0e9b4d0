"""Tiny benchmark folders in the Hub's layout and row schema. In: rows; out: a folder for import-ubench."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from evaluator.release.schema import CLASSIFICATION, COARSE_KINDS

NONE_OF_THE_ABOVE = "none of the above"
CAPTION_FORMS = ("A micrograph of {}.", "A microscopy image showing {}.")
COARSE_VALUES = {
    "modality": ("light microscopy", "fluorescence microscopy", "electron microscopy"),
    "submodality": ("brightfield microscopy", "confocal microscopy", "darkfield microscopy"),
    "domain": ("biology", "pathology"),
    "subdomain": ("cell biology", "hematopathology"),
    "stain": ("Giemsa", "hematoxylin and eosin", "DAPI"),
}
LABELS = ("round cell", "long cell", "no cell")

_QUESTION = pa.struct([
    ("id", pa.string()), ("name", pa.string()), ("question", pa.string()), ("options", pa.list_(pa.string())),
    ("answer", pa.string()), ("answer_idx", pa.int64()),
])  # fmt: skip
_CAPTION = pa.struct([
    ("question", pa.string()), ("options", pa.list_(pa.string())), ("answer", pa.string()), ("answer_idx", pa.int64()),
])  # fmt: skip
_KINDS = (*COARSE_KINDS, CLASSIFICATION)
COGNITION_KINDS = ("cognition_0", "cognition_1")
HUB_ROW = pa.schema([
    ("image_id", pa.string()), ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ("label", pa.int64()), ("label_name", pa.string()), ("dataset", pa.string()), ("domain", pa.string()),
    ("institution", pa.string()), ("license", pa.string()), ("microns_per_pixel", pa.float64()),
    ("modality", pa.string()), ("ncbitaxon_id", pa.string()), ("ncbitaxon_name", pa.string()), ("pmid", pa.string()),
    ("split", pa.string()), ("stain", pa.string()), ("subdomain", pa.string()), ("submodality", pa.string()),
    ("synthetic", pa.bool_()),
    ("captions", pa.struct([(f"{kind}_{variant}", _CAPTION) for kind in _KINDS for variant in (0, 1)])),
    ("questions", pa.struct([(kind, _QUESTION) for kind in (*_KINDS, *COGNITION_KINDS)])),
    ("bbox", pa.list_(pa.struct([("className", pa.string()), *[(c, pa.float64()) for c in ("x1", "y1", "x2", "y2")]]))),
    ("polygon", pa.list_(pa.float64())),
])  # fmt: skip


def hub_row(image_id: str, dataset: str | None = "cells_a", label: int = 0, **fields: Any) -> dict[str, Any]:
    """One valid row without boxes; `fields` override columns. The pixels depend on dataset, id and label only."""
    facets = {kind: values[_pick(kind, dataset, len(values))] for kind, values in COARSE_VALUES.items()}
    facets |= {kind: fields[kind] for kind in COARSE_KINDS if kind in fields}
    questions = {kind: _question(kind, COARSE_VALUES[kind], facets[kind]) for kind in COARSE_KINDS}
    questions[CLASSIFICATION] = _question(CLASSIFICATION, LABELS, LABELS[label])
    row: dict[str, Any] = {
        "image_id": image_id,
        "image": {"bytes": png_bytes(np.random.default_rng(_pick(image_id, dataset, 2**31) + label)), "path": image_id},
        "label": label, "label_name": LABELS[label], "dataset": dataset, "institution": "Example Institute",
        "license": "CC0-1.0", "microns_per_pixel": 0.25, "ncbitaxon_id": "NCBITaxon:9606",
        "ncbitaxon_name": "Homo sapiens", "pmid": "123", "split": "test", "synthetic": False, **facets,
        "captions": {
            f"{kind}_{variant}": _caption(question, CAPTION_FORMS[variant])
            for kind, question in questions.items() for variant in (0, 1)
        },
        "questions": questions,
        "bbox": [], "polygon": [],
    }  # fmt: skip
    return row | fields


def cognition_question(answer: int, options: Sequence[str] = ("one", "two", "three")) -> dict[str, Any]:
    """What stands under `cognition_<i>` of a row's questions."""
    return {
        "id": None, "name": None, "question": "How many cells divide?", "options": list(options),
        "answer": options[answer], "answer_idx": answer,
    }  # fmt: skip


def hub_box(name: str | None, x1: float = 1.0, y1: float = 2.0, x2: float = 6.0, y2: float = 7.0) -> dict[str, Any]:
    """One entry of a row's bbox; images are 12 × 12."""
    return {"className": name, "x1": x1, "y1": y1, "x2": x2, "y2": y2}


def hub_rows(n_items: int, datasets: Sequence[str] = ("cells_a", "cells_b")) -> list[dict[str, Any]]:
    """`n_items` valid rows dealt over the datasets and labels."""
    return [
        hub_row(f"img_{i:05d}", datasets[i % len(datasets)], (i // len(datasets)) % len(LABELS)) for i in range(n_items)
    ]


def write_hub(
    folder: Path, rows: Iterable[dict[str, Any]], *, schema: pa.Schema = HUB_ROW, shards: int = 1,
    form: str = "arrow-stream", rows_per_batch: int = 16,
) -> Path:  # fmt: skip
    """Write rows as a Hub folder and return it. `form`: arrow-stream (the Hub's), arrow-file or parquet."""
    rows = list(rows)
    data = folder / "perception" / "0.1.0"
    data.mkdir(parents=True)
    names = json.dumps({"features": {"label": {"names": list(LABELS), "_type": "ClassLabel"}}})
    (data / "dataset_info.json").write_text(names)
    for shard in range(shards):
        table = pa.Table.from_pylist(rows[shard::shards], schema)
        stem = data / f"ubench-test-{shard:05d}-of-{shards:05d}"
        if form == "parquet":
            pq.write_table(table, stem.with_suffix(".parquet"), row_group_size=rows_per_batch)
            continue
        new = pa.ipc.new_stream if form == "arrow-stream" else pa.ipc.new_file
        with new(stem.with_suffix(".arrow"), schema) as writer:
            writer.write_table(table, max_chunksize=rows_per_batch)
    return folder


def png_bytes(rng: np.random.Generator, *, size: int = 12, mode: str = "RGB", **save: Any) -> bytes:
    """A small random PNG; `save` goes to Pillow (pnginfo=…, exif=…)."""
    shape = (size, size, 3) if mode == "RGB" else (size, size)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8), mode=None).save(file, "PNG", **save)
    return file.getvalue()


def _question(kind: str, values: Sequence[str], answer: str | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    options = [*([] if answer in values else [answer]), *values, NONE_OF_THE_ABOVE]
    return {
        "id": f"id-{kind}", "name": kind, "question": f"Which {kind} is shown?", "options": options, "answer": answer,
        "answer_idx": options.index(answer),
    }  # fmt: skip


def _caption(question: dict[str, Any] | None, form: str) -> dict[str, Any] | None:
    if question is None:
        return None
    options = [form.format(option) for option in question["options"]]
    return {
        "question": question["question"], "options": options, "answer": options[question["answer_idx"]],
        "answer_idx": question["answer_idx"],
    }  # fmt: skip


def _pick(salt: str, dataset: str | None, n: int) -> int:
    """A fixed number below `n` for these names, the same in every process."""
    return sum(ord(c) * (i + 1) for i, c in enumerate(f"{salt}/{dataset}")) % n
