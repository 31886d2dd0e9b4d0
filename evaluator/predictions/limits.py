"""How much a prediction file may ask for. In: nothing; out: the bounds that every reader keeps."""

from dataclasses import dataclass

from evaluator.errors import InputError

MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on a file before and while it is read; generous for honest files of this benchmark's size."""

    file_bytes: int = 1024 * MIB  # as sent, and decompressed
    line_bytes: int = 512 * 1024  # a thousand boxes with every digit, quotes doubled for CSV, take half of it
    columns: int = 100
    block_bytes: int = 8 * MIB  # read at a time
    boxes: int = 4_000_000  # of a Parquet file, which can claim many in a few bytes
    rows_beyond: int = 1000  # a file may have twice as many rows as the split has, and this many

    def max_rows(self, n_expected: int) -> int:
        """Most rows worth reading of a file for a split with `n_expected` question rows."""
        return 2 * n_expected + self.rows_beyond


def too_many_rows(max_rows: int) -> InputError:
    """More rows than any valid file for the split could need."""
    return InputError.single(
        "too_many_rows", f"The file has more than {max_rows} rows, far more than the split has questions.", field="file"
    )
