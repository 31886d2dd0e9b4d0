"""Read the key of a split. In: the folder the keys lie in; out: the KEY table. Imported by scorer-side code only."""

from pathlib import Path

import pyarrow as pa

from evaluator.errors import InputError
from evaluator.release.read import read_table
from evaluator.release.schema import KEY, Split


def read_key(key_dir: Path, split: Split) -> pa.Table:
    """The KEY rows of `split`, one per item in the order of the items table. Raises InputError when there is no key."""
    path = Path(key_dir) / f"{split}.parquet"
    if not path.exists():
        raise InputError.single(
            "no_key", f"There is no key for split {split} in {key_dir}. Name the folder of the keys with --key."
        )
    return read_table(path, KEY)
