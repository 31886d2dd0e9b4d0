"""Answers at every α of a sweep. In/out: sweep.parquet. Torch-free; scorer and runner share it.

α is the weight of the tuned checkpoint: 0 is the base, 1 the tuned model.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from evaluator.answers import ANSWERS, ROW_ID, read_as
from evaluator.errors import InputError
from evaluator.release.schema import Split

ALPHA_DECIMALS = 6
MAX_ALPHAS = 201
BASE, TUNED = 0.0, 1.0
NON_FINITE = "non_finite_output"  # the code of an α that has no answers

# scores and text are kept at BASE and TUNED alone, and null between them.
SWEEP = pa.schema([
    *ANSWERS, pa.field("split", pa.dictionary(pa.int32(), pa.string())), pa.field("alpha", pa.float64()),
])  # fmt: skip
# What a sweep computes; the rest of SWEEP follows from what was asked.
GIVEN = pa.schema([field for field in ANSWERS if field.name not in ROW_ID])


def check_alphas(alphas: Iterable[float]) -> tuple[float, ...]:
    """The α of a sweep, rounded and in order. InputError `bad_alphas` for what is no share of the tuned checkpoint, for
    one named twice, for too many, and where 0 or 1 is missing: every curve is compared with both."""
    wanted = list(alphas)
    found = sorted(round(alpha, ALPHA_DECIMALS) + 0.0 for alpha in wanted if math.isfinite(alpha))
    wrong = ""
    if len(found) < len(wanted) or (found and not BASE <= found[0] <= found[-1] <= TUNED):
        wrong = "Each must be a number from 0 (the base) to 1 (the tuned model)."
    elif len(set(found)) < len(found):
        wrong = f"One is named twice; they are told apart by {ALPHA_DECIMALS} decimals."
    elif len(found) > MAX_ALPHAS:
        wrong = f"There are {len(found):,}; at most {MAX_ALPHAS} are answered."
    elif not {BASE, TUNED} <= set(found):
        wrong = "Both 0 (the base) and 1 (the tuned model) must be among them."
    if wrong:
        raise InputError.single("bad_alphas", f"These alphas cannot be answered. {wrong}", field="alphas")
    return tuple(found)


def keeps_scores(alpha: float) -> bool:
    """Whether the scores of this α are kept."""
    return alpha in (BASE, TUNED)


def name_rows(given: pa.Table, rows: Mapping[Split, pa.Table], alphas: Sequence[float]) -> pa.Table:
    """SWEEP from GIVEN, whose rows are α by α, in each split by split, in each the rows asked, in order.

    rows: QUESTIONS that were asked, by split. alphas: those that have answers. Raises ValueError for another number of
    rows.
    """
    n_rows = sum(asked.num_rows for asked in rows.values())
    if given.num_rows != n_rows * len(alphas):
        raise ValueError(f"{given.num_rows:,} rows, {n_rows:,} asked at each of {len(alphas)} alphas")
    splits = pa.array([split.value for split in rows], pa.string())
    asked = {
        split: [table[name].combine_chunks() for name in ROW_ID]
        + [pa.DictionaryArray.from_arrays(pa.array([place] * table.num_rows, pa.int32()), splits)]
        for place, (split, table) in enumerate(rows.items())
    }
    parts, start = [], 0
    for alpha in alphas:
        for split, table in rows.items():
            some = given.slice(start, table.num_rows)
            start += table.num_rows
            columns = dict(zip((*ROW_ID, "split"), asked[split], strict=True))
            columns |= {name: some[name] for name in GIVEN.names}
            columns["alpha"] = pa.repeat(pa.scalar(alpha, pa.float64()), table.num_rows)
            parts.append(pa.table([columns[name] for name in SWEEP.names], SWEEP))
    return pa.concat_tables(parts) if parts else SWEEP.empty_table()


def answers_at(sweep: pa.Table, split: Split, alpha: float) -> pa.Table:
    """ANSWERS of one split at one α, in the order in which they were asked; no rows where that α gave none."""
    there = pc.and_(pc.equal(sweep["split"].cast(pa.string()), split.value), pc.equal(sweep["alpha"], alpha))
    return sweep.filter(there).select(ANSWERS.names)


def write_sweep(sweep: pa.Table, path: Path) -> None:
    """Write sweep.parquet. The same rows give the same bytes. Raises ArrowInvalid when columns do not fit SWEEP."""
    pq.write_table(sweep.select(SWEEP.names).cast(SWEEP), path, compression="zstd")


def write_sweep_run(answers: pa.Table, record: dict[str, Any], folder: Path) -> None:
    """Write sweep.parquet and run.json, which is `record`, into `folder`, made when absent."""
    folder.mkdir(parents=True, exist_ok=True)
    write_sweep(answers, folder / "sweep.parquet")
    (folder / "run.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_sweep(path: Path) -> pa.Table:
    """Read sweep.parquet with exactly the columns of SWEEP; InputError as `evaluator.answers.read_answers`."""
    return read_as(path, SWEEP)
