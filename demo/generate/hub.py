"""The Hub's row schema and files. In: rows as dicts; out: Arrow shards in the stream format of `datasets`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from demo.generate.catalogue import DATASETS
from demo.generate.cognition import COGNITION_KINDS
from demo.generate.questions import KINDS

FOLDER = Path("perception") / "0.1.0"
ROWS_PER_BATCH = 100
LABELS = sorted({name for dataset in DATASETS for name in dataset.classes})  # one class list for all datasets

_CAPTION = pa.struct([
    ("question", pa.string()), ("options", pa.list_(pa.string())), ("answer", pa.string()), ("answer_idx", pa.int64()),
])  # fmt: skip
_QUESTION = pa.struct([("id", pa.string()), ("name", pa.string()), *_CAPTION])
_BOX = pa.struct([("className", pa.string()), *((corner, pa.float64()) for corner in ("x1", "y1", "x2", "y2"))])
COLUMNS = pa.schema([
    ("image_id", pa.string()), ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ("label", pa.int64()), ("label_name", pa.string()), ("dataset", pa.string()), ("domain", pa.string()),
    ("institution", pa.string()), ("license", pa.string()), ("microns_per_pixel", pa.float64()),
    ("modality", pa.string()), ("ncbitaxon_id", pa.string()), ("ncbitaxon_name", pa.string()), ("pmid", pa.string()),
    ("split", pa.string()), ("stain", pa.string()), ("subdomain", pa.string()), ("submodality", pa.string()),
    ("synthetic", pa.bool_()),
    ("captions", pa.struct([(f"{kind}_{variant}", _CAPTION) for kind in KINDS for variant in (0, 1)])),
    ("questions", pa.struct([(kind, _QUESTION) for kind in (*KINDS, *COGNITION_KINDS)])),
    ("bbox", pa.list_(_BOX)), ("polygon", pa.list_(pa.float64())),
])  # fmt: skip


def write_shards(rows: Iterable[dict[str, Any]], n_rows: int, out: Path, n_shards: int) -> None:
    """Write `n_rows` rows under `out` as the Hub lays them out. Rows are consumed one batch at a time."""
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("ubench-test-*.arrow"):
        old.unlink()
    features = describe_features()
    schema = COLUMNS.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    remaining = iter(rows)
    for shard in range(n_shards):
        path = folder / f"ubench-test-{shard:05d}-of-{n_shards:05d}.arrow"
        left = n_rows * (shard + 1) // n_shards - n_rows * shard // n_shards
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
            while left:
                batch = [next(remaining) for _ in range(min(left, ROWS_PER_BATCH))]
                stream.write_batch(pa.RecordBatch.from_pylist(batch, schema))
                left -= len(batch)
    info = {
        "description": "Drawn micrographs in the row schema of µ-Bench; every image is synthetic.",
        "citation": "", "homepage": "", "license": "CC0-1.0", "features": features,
    }  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps(info, ensure_ascii=False) + "\n", encoding="utf-8")


def describe_features() -> dict[str, Any]:
    """The columns as `datasets` describes them in dataset_info.json and in the metadata of a shard."""
    features = {field.name: _feature(field.type) for field in COLUMNS}
    return features | {"image": {"_type": "Image"}, "label": {"names": LABELS, "_type": "ClassLabel"}}


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}
