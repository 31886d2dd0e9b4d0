"""Write the tables of a release. In: items in release order; out: Parquet files, private keys apart, and the hash."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.release.importing.staging import StagedItem
from evaluator.release.read import ITEMS_FILE, QUESTIONS_FILE
from evaluator.release.schema import FACETS, ITEMS, KEY, QUESTIONS, Split

PYTHON_ROWS = 250
GROUP_ROWS = 8_000  # a multiple of PYTHON_ROWS


class TableWriter:
    """Appends rows to one Parquet file, holding at most GROUP_ROWS of them, nearly all as compact columns."""

    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(sink, schema, compression="zstd")
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._group: list[pa.RecordBatch] = []
        self.n_rows = 0

    def append(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        self.n_rows += 1
        if self.n_rows % PYTHON_ROWS == 0:
            self._compact()
        if self.n_rows % GROUP_ROWS == 0:
            self._write_group()

    def close(self) -> None:
        self._compact()
        self._write_group()
        self._writer.close()

    def _compact(self) -> None:
        if self._rows:
            self._group.append(pa.RecordBatch.from_pylist(self._rows, self._schema))
            self._rows.clear()

    def _write_group(self) -> None:
        if self._group:
            self._writer.write_table(pa.Table.from_batches(self._group))
            self._group.clear()


class ReleaseWriter:
    """Writes items, questions and keys of one release and hashes what is public of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._items = self._open(folder / ITEMS_FILE, ITEMS)
        self._questions = self._open(folder / QUESTIONS_FILE, QUESTIONS)
        self._hash = hashlib.sha256()

    def write_split(self, split: Split, items: Iterator[StagedItem]) -> tuple[int, int]:
        """Append a split; returns its numbers of items and of questions."""
        keys = self._stack.enter_context(private_file(self._folder / "keys" / f"{split}.parquet"))
        key = self._close_later(TableWriter(keys, KEY))
        questions_before = self._questions.n_rows
        for item in items:
            self._items.append(_item_row(item))
            for row in _question_rows(item):
                self._questions.append(row)
            key.append(_key_row(item))
            self._hash.update(_hashed(split, item))
        return key.n_rows, self._questions.n_rows - questions_before

    def content_hash(self) -> str:
        """SHA-256 over splits, ids, pixels and questions in release order; the key has no part in it."""
        return self._hash.hexdigest()

    def _open(self, path: Path, schema: pa.Schema) -> TableWriter:
        return self._close_later(TableWriter(path, schema))

    def _close_later(self, writer: TableWriter) -> TableWriter:
        self._stack.callback(writer.close)
        return writer


@contextmanager
def private_file(path: Path) -> Iterator[Any]:
    """A new binary file that only its owner can read, from its first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        yield file


def _item_row(item: StagedItem) -> dict[str, Any]:
    return {
        "dataset": item.dataset, "image_id": item.image_id, "file": item.file, "width": item.image.width,
        "height": item.image.height,
    }  # fmt: skip


def _question_rows(item: StagedItem) -> Iterator[dict[str, Any]]:
    for kind, variant, text, options, _ in item.questions:
        yield {
            "dataset": item.dataset, "image_id": item.image_id, "question": kind, "variant": variant, "text": text,
            "options": options,
        }  # fmt: skip


def _key_row(item: StagedItem) -> dict[str, Any]:
    return {
        "dataset": item.dataset, "image_id": item.image_id, "original_id": item.original_id, "source": item.source,
        **{facet: item.facts[facet] for facet in FACETS},
        "label_name": item.label_name, "path": item.path, "boxes": item.boxes,
        **{name: item.facts[name] for name in ("institution", "pmid", "license", "microns_per_pixel")},
        "answers": [
            {"question": kind, "variant": variant, "answer_idx": answer_idx}
            for kind, variant, _, _, answer_idx in item.questions if answer_idx is not None
        ],
    }  # fmt: skip


def _hashed(split: Split, item: StagedItem) -> bytes:
    questions = [question[:4] for question in item.questions]
    public = [split.value, item.dataset, item.image_id, item.image.digest, questions]
    return json.dumps(public, ensure_ascii=False).encode() + b"\n"
