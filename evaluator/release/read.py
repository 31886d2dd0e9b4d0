"""Read a release folder. In: the folder and a split; out: its info, items and questions. Never opens keys.

The row order of the questions table of a split is the canonical order: answers, scores and bits align to it.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluator.errors import InputError
from evaluator.release.info import read_info
from evaluator.release.schema import ITEMS, QUESTIONS, ReleaseInfo, Split

__all__ = ["iter_questions", "item_ids", "read_info", "read_items", "read_questions", "require_split"]

ITEMS_FILE = "items.parquet"
QUESTIONS_FILE = "questions.parquet"
WHOLE_BATCH_ROWS = 100_000


def read_items(folder: Path, split: Split) -> pa.Table:
    """The ITEMS rows of `split`, in file order. Raises InputError when the release lacks the split or is damaged."""
    require_split(read_info(folder), split)
    table = read_table(Path(folder) / ITEMS_FILE, ITEMS)
    return table.filter(pc.starts_with(table["file"], f"images/{split}/"))


def read_questions(folder: Path, split: Split) -> pa.Table:
    """The QUESTIONS rows of `split` in canonical order. Raises InputError as `read_items`."""
    return pa.Table.from_batches(
        iter_questions(folder, {split}, batch_rows=WHOLE_BATCH_ROWS), QUESTIONS
    ).combine_chunks()


def iter_questions(folder: Path, splits: set[Split], *, batch_rows: int = 1_000) -> Iterator[pa.RecordBatch]:
    """The QUESTIONS rows of `splits` in canonical order, at most `batch_rows` in memory at a time."""
    wanted = pa.concat_arrays([item_ids(read_items(folder, split)) for split in sorted(splits)])
    holds_no_other = splits == set(read_info(folder).splits)  # as packs and the views of jobs do
    with open_table(Path(folder) / QUESTIONS_FILE, QUESTIONS) as parquet:
        for batch in parquet.iter_batches(batch_size=batch_rows, use_threads=False):
            kept = batch if holds_no_other else batch.filter(pc.is_in(item_ids(batch), value_set=wanted))
            if kept.num_rows:
                yield kept


def item_ids(rows: pa.Table | pa.RecordBatch) -> pa.Array:
    """One string per row that names the item: dataset and image_id joined by NUL, which neither may contain."""
    joined = pc.binary_join_element_wise(rows["dataset"], rows["image_id"], "\0")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def require_split(info: ReleaseInfo, split: Split) -> None:
    """Raise InputError unless the release holds `split`."""
    if split not in info.splits:
        held = ", ".join(sorted(info.splits)) or "none"
        raise InputError.single("no_such_split", f"{info.name} has no split {split}. It has: {held}.")


def open_table(path: Path, schema: pa.Schema) -> pq.ParquetFile:
    """Open one Parquet file of a release; InputError when it is missing, damaged or of another schema."""
    try:
        parquet = pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError.single("damaged_release", f"{path} is missing. Import or unpack the release again.") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError.single("damaged_release", f"{path} is not a whole Parquet file: {error}.") from error
    if not parquet.schema_arrow.equals(schema):
        parquet.close()
        raise InputError.single("damaged_release", f"{path} has other columns than this evaluator reads.")
    return parquet


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """All of one Parquet file of a release; InputError as `open_table`."""
    with open_table(path, schema) as parquet:
        return parquet.read(use_threads=False)
