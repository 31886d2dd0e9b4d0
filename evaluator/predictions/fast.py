"""Text files read by pyarrow, block by block. In: a CSV or JSONL file; out: batches of PREDICTIONS.

Raises NeedsCareful for whatever it cannot take in full; then the careful reader names the lines.
"""

import csv
import io
import json
from collections.abc import Iterator
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from evaluator.errors import InputError
from evaluator.predictions.boxes import BOX_LISTS, BadBoxes, parse_column
from evaluator.predictions.columns import BOXES, COLUMNS, PREDICTIONS, check_columns, read_variants
from evaluator.predictions.formats import PlainFile
from evaluator.predictions.limits import Limits


class NeedsCareful(Exception):
    """The file has something that only the line-by-line reader can name (or take)."""


def read_csv(file: PlainFile, limits: Limits) -> Iterator[pa.RecordBatch]:
    """Batches of a CSV file with a header line; `option` and `index` are told apart later, against the options."""
    names = read_header(file, limits)
    _require_short_lines(file, limits)
    wanted = [name for name in COLUMNS if name in names]
    try:
        reader = pyarrow.csv.open_csv(
            file.path,
            read_options=pyarrow.csv.ReadOptions(block_size=limits.block_bytes, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=wanted, column_types={name: pa.string() for name in wanted}, strings_can_be_null=True,
                null_values=[""],
            ),
        )  # fmt: skip
    except pa.ArrowException as error:
        raise NeedsCareful from error
    yield from _deliver(reader)


def read_jsonl(file: PlainFile, limits: Limits) -> Iterator[pa.RecordBatch]:
    """Batches of a JSONL file whose `option` is of one kind throughout, text or index, as in its first line."""
    _require_short_lines(file, limits)
    option = pa.int64() if isinstance(_first_option(file, limits), int) else pa.string()
    schema = pa.schema([
        *[(name, pa.string()) for name in ("dataset", "image_id", "question", "reply")],
        ("variant", pa.int64()), ("option", option), (BOXES, BOX_LISTS),
    ])  # fmt: skip
    try:
        reader = pyarrow.json.open_json(
            file.path,
            read_options=pyarrow.json.ReadOptions(block_size=limits.block_bytes, use_threads=False),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowException as error:
        raise NeedsCareful from error
    yield from _deliver(reader)


def read_header(file: PlainFile, limits: Limits) -> list[str]:
    """The column names of a CSV file. Raises InputError when they are not what a prediction file needs."""
    with file.path.open("rb") as opened:
        line = opened.readline(limits.line_bytes + 1)
    if len(line) > limits.line_bytes:
        raise InputError.single(
            "line_too_long",
            f"The header is longer than {limits.line_bytes} bytes. Write one column name per field.",
            field="file",
        )
    try:
        text = line.decode("utf-8-sig")
        names = next(csv.reader(io.StringIO(text)), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError.single(
            "bad_encoding", f"The header is no UTF-8 text ({error}). Save the file as UTF-8.", field="file"
        ) from error
    check_columns(names)
    return names


def _deliver(reader: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    first_row = 1
    while True:
        try:
            batch = next(reader, None)
            if batch is None:
                return
            batch.validate(full=True)  # UTF-8 among others
        except pa.ArrowException as error:
            raise NeedsCareful from error
        yield _normalise(batch, first_row)
        first_row += batch.num_rows


def _normalise(batch: pa.RecordBatch, first_row: int) -> pa.RecordBatch:
    columns = {name: batch[name] for name in batch.schema.names}
    n = batch.num_rows
    if "option" in columns and pa.types.is_integer(columns["option"].type):
        columns["index"] = columns.pop("option")
    if BOXES in columns and pa.types.is_string(columns[BOXES].type):
        try:
            columns[BOXES] = parse_column(columns[BOXES])
        except BadBoxes as bad:
            raise NeedsCareful from bad
    elif BOXES in columns and columns[BOXES].flatten().null_count:
        raise NeedsCareful  # a null among boxes
    if "variant" in columns and pa.types.is_string(columns["variant"].type):
        columns["variant"] = read_variants(columns["variant"])
    columns["row"] = pa.array(np.arange(first_row, first_row + n))
    return pa.RecordBatch.from_arrays(
        [columns.get(field.name, pa.nulls(n, field.type)) for field in PREDICTIONS], schema=PREDICTIONS
    )


def _first_option(file: PlainFile, limits: Limits) -> object:
    with file.path.open("rb") as opened:
        while line := opened.readline(limits.line_bytes):
            if line.strip():
                try:
                    return json.loads(line.decode("utf-8-sig")).get("option")
                except (ValueError, AttributeError, RecursionError) as error:
                    raise NeedsCareful from error
    return None


def _require_short_lines(file: PlainFile, limits: Limits) -> None:
    with file.path.open("rb") as opened:
        if not _lines_are_short(opened, limits.line_bytes):
            raise NeedsCareful


def _lines_are_short(opened: IO[bytes], longest: int) -> bool:
    """Whether no line has more than `longest` bytes: leaps from newline to newline, looking at few of them."""
    held = b""
    while chunk := opened.read(1 << 20):
        held += chunk
        start = 0
        while len(held) - start > longest:
            newline = held.rfind(b"\n", start, start + longest + 1)
            if newline < 0:
                return False
            start = newline + 1
        held = held[start:]
    return True
