"""Read a benchmark in the Hub's layout. In: a folder of Arrow or Parquet shards; out: slices of rows, one at a time.

Memory stays flat whatever the size of a shard or of a record batch: shards are mapped, and a slice's pages are given
back before the next one is touched. Knows nothing of questions, splits or keys.
"""

import json
import mmap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.errors import InputError

SLICE_ROWS = 32
ARROW_FILE_MAGIC = b"ARROW1"
PARQUET_MAGIC = b"PAR1"
LFS_MAGIC = b"version https://git-lfs"
BUFFER_BYTES = 1 << 20
DAMAGE = (OSError, pa.ArrowException, UnicodeDecodeError)  # what reading a damaged shard raises


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Consecutive rows; `first_row` is the 1-based number of the first one, counted over all shards in path order."""

    first_row: int
    rows: pa.RecordBatch


def find_shards(hub_dir: Path) -> list[Path]:
    """Every `*.arrow` and `*.parquet` under the folder, hidden folders left out, in path order. Raises InputError."""
    hub_dir = Path(hub_dir)
    if not hub_dir.is_dir():
        raise InputError.single("no_such_folder", f"{hub_dir} is not a folder. Name the folder of the benchmark.")
    shards = sorted(
        path
        for path in hub_dir.rglob("*")
        if path.suffix in (".arrow", ".parquet")
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(hub_dir).parts)
    )
    if not shards:
        raise InputError.single(
            "no_shards",
            f"{hub_dir} holds no *.arrow or *.parquet file, at any depth. Name the folder of the benchmark.",
        )
    return shards


def read_columns(shards: list[Path]) -> list[str]:
    """The union of the shards' column names, in order of appearance. Raises InputError on a damaged shard."""
    names: dict[str, None] = {}
    for shard in shards:
        names.update(dict.fromkeys(_schema(shard).names))
    return list(names)


def read_class_names(shards: list[Path]) -> list[str]:
    """Names of the ClassLabel column `label`, from the shard's metadata or dataset_info.json; empty when not stated."""
    for shard in shards:
        stated = (_schema(shard).metadata or {}).get(b"huggingface")
        if stated and (names := _class_names(stated, "info")):
            return names
        info = shard.parent / "dataset_info.json"
        if info.is_file() and (names := _class_names(info.read_bytes())):
            return names
    return []


def iter_slices(shards: list[Path], *, keep: Collection[str]) -> Iterator[Slice]:
    """The columns named in `keep` (those a shard has) of every row, in order. Raises InputError on a damaged shard."""
    first_row = 1
    for shard in shards:
        batches = _parquet_batches(shard, keep) if _magic(shard, PARQUET_MAGIC) else _arrow_batches(shard, keep)
        while True:
            try:
                batch = next(batches, None)
                if batch is not None:
                    batch.validate(full=True)  # a damaged shard must not be read past its end
            except DAMAGE as error:
                raise _unreadable(shard, error) from error
            if batch is None:
                break
            yield Slice(first_row=first_row, rows=batch)
            first_row += batch.num_rows


def _arrow_batches(shard: Path, keep: Collection[str]) -> Iterator[pa.RecordBatch]:
    with shard.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    for batch in _open_arrow(mapped):
        batch = batch.select([name for name in batch.schema.names if name in keep])
        for start in range(0, batch.num_rows, SLICE_ROWS):
            yield batch.slice(start, SLICE_ROWS)
            mapped.madvise(mmap.MADV_DONTNEED)  # mapped pages count as resident memory until given back


def _open_arrow(mapped: mmap.mmap) -> Iterator[pa.RecordBatch]:
    source = pa.BufferReader(pa.py_buffer(mapped))
    if mapped[: len(ARROW_FILE_MAGIC)] == ARROW_FILE_MAGIC:
        reader = pa.ipc.open_file(source)
        yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
    else:
        yield from pa.ipc.open_stream(source)


def _parquet_batches(shard: Path, keep: Collection[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(shard, buffer_size=BUFFER_BYTES, pre_buffer=False) as parquet:
        columns = [name for name in parquet.schema_arrow.names if name in keep]
        yield from parquet.iter_batches(batch_size=SLICE_ROWS, columns=columns, use_threads=False)


def _schema(shard: Path) -> pa.Schema:
    if _magic(shard, LFS_MAGIC):
        raise InputError.single(
            "lfs_pointer", f"{shard} is a Git LFS pointer, not the data. Run `git lfs pull` in the folder first."
        )
    try:
        schema = _read_schema(shard)
        for field in schema:
            _look_at_names(field)
        return schema
    except DAMAGE as error:
        raise _unreadable(shard, error) from error


def _read_schema(shard: Path) -> pa.Schema:
    if _magic(shard, PARQUET_MAGIC):
        return pq.read_schema(shard)
    if _magic(shard, ARROW_FILE_MAGIC):
        return pa.ipc.open_file(shard).schema
    with shard.open("rb") as file:
        return pa.ipc.open_stream(file).schema


def _look_at_names(field: pa.Field) -> None:
    """Raise UnicodeDecodeError when a name at any depth is no text; pyarrow decodes names when they are looked at."""
    _ = field.name
    for i in range(field.type.num_fields):
        _look_at_names(field.type.field(i))


def _unreadable(shard: Path, error: Exception) -> InputError:
    return InputError.single("unreadable_shard", f"{shard} cannot be read ({error}). Download this file again.")


def _magic(shard: Path, magic: bytes) -> bool:
    with shard.open("rb") as file:
        return file.read(len(magic)) == magic


def _class_names(stated: bytes, *path: str) -> list[str]:
    try:
        found = json.loads(stated)
        for key in (*path, "features", "label", "names"):
            found = found[key]
    except (ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in found] if isinstance(found, list) else []
