"""Parquet prediction files. In: a file; out: batches of PREDICTIONS. Looks at sizes before it reads anything.

A small file can claim, or unpack into, a huge table, so texts are read as dictionaries and measured before they are
written out.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluator.errors import InputError, ProblemLog
from evaluator.predictions.columns import BAD_VARIANT, COLUMNS, PREDICTIONS, check_columns, read_variants
from evaluator.predictions.formats import PlainFile
from evaluator.predictions.limits import Limits, too_many_rows

BATCH_ROWS = 65_536
FOOTER_LIMITS = {"thrift_string_size_limit": 16 * 1024**2, "thrift_container_size_limit": 1_000_000}
TEXT_TYPES = (pa.types.is_string, pa.types.is_large_string, pa.types.is_null)


def read_parquet(file: PlainFile, limits: Limits, max_rows: int) -> Iterator[pa.RecordBatch]:
    """Batches of a Parquet file. Raises InputError when it is damaged, too large or has columns of other types."""
    try:
        with pq.ParquetFile(file.path, **FOOTER_LIMITS) as parquet:
            _check_claims(parquet.metadata, limits, max_rows)
            schema = parquet.schema_arrow
        check_columns(schema.names)
        _check_types(schema)
        names = [name for name in COLUMNS if name in schema.names]
        texts = [name for name in names if pa.types.is_string(schema.field(name).type)]
        with pq.ParquetFile(file.path, read_dictionary=texts, pre_buffer=False, **FOOTER_LIMITS) as parquet:
            yield from _read(parquet, names, limits)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError.single(
            "damaged_parquet", f"The Parquet file is damaged or cut off ({_first_line(error)}). Write it again.",
            field="file",
        ) from error  # fmt: skip


def _check_claims(metadata: pq.FileMetaData, limits: Limits, max_rows: int) -> None:
    if metadata.num_rows > max_rows:
        raise too_many_rows(max_rows)
    if metadata.num_columns > limits.columns:
        raise InputError.single(
            "too_many_columns", f"The file has {metadata.num_columns} columns. Keep {', '.join(COLUMNS)}.", field="file"
        )
    unpacked = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if unpacked > limits.file_bytes:
        raise _too_large(limits)


def _check_types(schema: pa.Schema) -> None:
    problems = ProblemLog()
    for name in (name for name in COLUMNS if name in schema.names):
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        is_text = any(test(kind) for test in TEXT_TYPES)
        accepted = {
            "option": is_text or pa.types.is_integer(kind),
            "variant": is_text or pa.types.is_integer(kind) or pa.types.is_floating(kind),
        }.get(name, is_text)
        if not accepted:
            wanted = (
                "text or an integer (0-based index)"
                if name == "option"
                else "0, 1 or null"
                if name == "variant"
                else "text"
            )
            problems.add("bad_type", f"The column `{name}` holds {kind}; it must hold {wanted}.", field=name)
    problems.raise_if_any()


def _read(parquet: pq.ParquetFile, names: list[str], limits: Limits) -> Iterator[pa.RecordBatch]:
    first_row, unpacked = 1, 0
    for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=names, use_threads=False):
        unpacked += _text_bytes(batch, limits)
        if unpacked > limits.file_bytes:
            raise _too_large(limits)
        for piece in _small_pieces(batch, limits):
            columns = {name: _decode(piece[name]) for name in names}
            yield _normalise(columns, piece.num_rows, first_row)
            first_row += piece.num_rows


def _small_pieces(batch: pa.RecordBatch, limits: Limits) -> Iterator[pa.RecordBatch]:
    """The batch in pieces whose texts, written out, take a block each."""
    if batch.num_rows <= 1 or _text_bytes(batch, limits) <= limits.block_bytes:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _small_pieces(batch.slice(0, half), limits)
    yield from _small_pieces(batch.slice(half), limits)


def _text_bytes(batch: pa.RecordBatch, limits: Limits) -> int:
    """Bytes that the texts take when written out; refuses a text that no line of a text file may have."""
    total = 0
    for column in (column for column in batch.columns if pa.types.is_dictionary(column.type)):
        lengths = pc.binary_length(column.dictionary)
        if (pc.max(lengths).as_py() or 0) > limits.line_bytes:
            raise InputError.single(
                "text_too_long", f"A text has more than {limits.line_bytes} bytes. Leave out what is not asked for."
            )
        total += pc.sum(lengths.take(column.indices)).as_py() or 0
    return total


def _decode(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _normalise(columns: dict[str, pa.Array], n: int, first_row: int) -> pa.RecordBatch:
    if "option" in columns and pa.types.is_integer(columns["option"].type):
        columns["index"] = columns.pop("option").cast(pa.int64(), safe=False)
    if "variant" in columns:
        columns["variant"] = _variants(columns["variant"])
    columns["row"] = pa.array(np.arange(first_row, first_row + n))
    batch = pa.RecordBatch.from_arrays(
        [columns.get(field.name, pa.nulls(n)).cast(field.type) for field in PREDICTIONS], schema=PREDICTIONS
    )
    batch.validate(full=True)
    return batch


def _variants(column: pa.Array) -> pa.Array:
    """0, 1 and null from integers, floats (what a data frame makes of integers and nulls) or texts."""
    if any(test(column.type) for test in TEXT_TYPES):
        return read_variants(column.cast(pa.string()))
    is_variant = pc.or_(pc.equal(column, 0), pc.equal(column, 1))  # null where the column is null, false for NaN
    return pc.if_else(is_variant, pc.equal(column, 1).cast(pa.int64()), pa.scalar(BAD_VARIANT, pa.int64()))


def _too_large(limits: Limits) -> InputError:
    return InputError.single(
        "file_too_large", f"The file unpacks into more than {limits.file_bytes} bytes.", field="file"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
