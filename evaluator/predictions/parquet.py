"""Parquet prediction files. In: a file; out: batches of PREDICTIONS. Looks at sizes before it reads anything.

A small file can claim, or unpack into, a huge table, so texts are read as dictionaries and measured before they are
written out.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluator.answers import ANSWER_BOX
from evaluator.errors import InputError, ProblemLog
from evaluator.predictions.boxes import BOX_LISTS, FORM, NUMBERS
from evaluator.predictions.columns import BAD_VARIANT, BOXES, COLUMNS, PREDICTIONS, check_columns, read_variants
from evaluator.predictions.formats import PlainFile
from evaluator.predictions.limits import Limits, too_many_rows
from evaluator.release.boxes import COORDINATES, MAX_BOXES

BATCH_ROWS = 65_536
BOXED_BATCH_ROWS = 1_024
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
        texts += _class_paths(parquet.metadata)
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
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    of_boxes = [i for i in range(metadata.num_columns) if metadata.schema.column(i).path.startswith(f"{BOXES}.")]
    if max((sum(group.column(i).num_values for group in groups) for i in of_boxes), default=0) > limits.boxes:
        raise _too_many_boxes(limits)
    unpacked = sum(group.total_byte_size for group in groups)
    if unpacked > limits.file_bytes:
        raise _too_large(limits)


def _check_types(schema: pa.Schema) -> None:
    problems = ProblemLog()
    for name in (name for name in COLUMNS if name in schema.names):
        kind = schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if name == BOXES:
            if not _holds_boxes(kind):
                problems.add("bad_type", f"The column `{name}` holds {kind}. {FORM}", field=name)
            continue
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
    first_row, unpacked, boxes = 1, 0, 0
    batch_rows = BOXED_BATCH_ROWS if BOXES in names else BATCH_ROWS
    for batch in parquet.iter_batches(batch_size=batch_rows, columns=names, use_threads=False):
        unpacked += _text_bytes(batch, limits)
        boxes += len(_flat_boxes(batch))
        if boxes > limits.boxes:
            raise _too_many_boxes(limits)
        if unpacked > limits.file_bytes:
            raise _too_large(limits)
        for piece in _small_pieces(batch, limits):
            columns = {name: _decode_boxes(piece[name]) if name == BOXES else _decode(piece[name]) for name in names}
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
    texts = [*batch.columns, pc.struct_field(boxes, "class")] if len(boxes := _flat_boxes(batch)) else batch.columns
    for column in (column for column in texts if pa.types.is_dictionary(column.type)):
        lengths = pc.binary_length(column.dictionary)
        if (pc.max(lengths).as_py() or 0) > limits.line_bytes:
            raise InputError.single(
                "text_too_long", f"A text has more than {limits.line_bytes} bytes. Leave out what is not asked for."
            )
        total += pc.sum(lengths.take(column.indices)).as_py() or 0
    return total


def _class_paths(metadata: pq.FileMetaData) -> list[str]:
    """Where the classes of boxes stand in the file: they too are read as dictionaries."""
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    return [path for path in paths if path.startswith(f"{BOXES}.") and path.endswith(".class")]


def _holds_boxes(kind: pa.DataType) -> bool:
    """A list of structs with the fields of a box, numbers of any kind."""
    if pa.types.is_null(kind):
        return True
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_struct(kind.value_type):
        return False
    fields = {field.name: field.type for field in kind.value_type}
    return (
        kind.value_type.num_fields == len(fields)
        and {"class", *COORDINATES} <= set(fields)
        and any(test(fields["class"]) for test in TEXT_TYPES)
        and all(_is_number(fields[name]) for name in NUMBERS if name in fields)
    )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)


def _flat_boxes(batch: pa.RecordBatch) -> pa.Array:
    """All boxes of the batch, row after row; none where it has no such column."""
    column = batch[BOXES] if BOXES in batch.schema.names else None
    return pa.array([], ANSWER_BOX) if column is None or pa.types.is_null(column.type) else column.flatten()


def _decode_boxes(column: pa.Array) -> pa.Array:
    """A column of boxes as BOX_LISTS, no list longer than it takes to see that it is too long."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), BOX_LISTS)
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    kept = np.minimum(lengths, MAX_BOXES + 1)
    starts = np.cumsum(lengths) - lengths
    offsets = np.concatenate([[0], np.cumsum(kept)])
    places = np.repeat(starts - offsets[:-1], kept) + np.arange(offsets[-1])
    boxes = column.flatten().take(pa.array(places))
    held = set(boxes.type.field(i).name for i in range(boxes.type.num_fields))
    fields = [
        _decode(pc.struct_field(boxes, field.name)).cast(field.type) if field.name in held
        else pa.nulls(len(boxes), field.type)
        for field in ANSWER_BOX
    ]  # fmt: skip
    values = pa.StructArray.from_arrays(fields, fields=list(ANSWER_BOX))
    mask = pc.is_null(column)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, mask=mask).cast(BOX_LISTS)


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


def _too_many_boxes(limits: Limits) -> InputError:
    return InputError.single("too_many_boxes", f"The file has more than {limits.boxes} boxes.", field=BOXES)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
