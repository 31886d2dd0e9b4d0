"""The part of a release that one job may see. In: a release, its splits; out: a folder without keys or other splits."""

import os
import shutil
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.release.info import read_info, restrict_info, write_info
from evaluator.release.read import ITEMS_FILE, QUESTIONS_FILE, iter_questions, read_items, require_split
from evaluator.release.schema import ITEMS, QUESTIONS, Split


def write_view(release_dir: Path, splits: Collection[Split], out_dir: Path) -> None:
    """Make `out_dir` a release of `splits` only: info, tables, images (hard links where the disk allows), no key.

    Raises InputError when a split is missing, FileExistsError when `out_dir` is there already.
    """
    release_dir, out_dir, wanted = Path(release_dir), Path(out_dir), set(splits)
    info = read_info(release_dir)
    for split in wanted:
        require_split(info, split)
    out_dir.mkdir(parents=True)
    write_info(restrict_info(info, wanted), out_dir)
    items = pa.concat_tables([ITEMS.empty_table(), *(read_items(release_dir, split) for split in sorted(wanted))])
    pq.write_table(items, out_dir / ITEMS_FILE)
    with pq.ParquetWriter(out_dir / QUESTIONS_FILE, QUESTIONS) as writer:
        for batch in iter_questions(release_dir, wanted):
            writer.write_batch(batch)
    for split in wanted:
        (out_dir / "images" / split).mkdir(parents=True)
    for file in items["file"].to_pylist():
        _link(release_dir / file, out_dir / file)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
