"""Speed of checking a prediction file of a million rows, beside a plain loop over its rows that checks the same.

`python -m tests.bench.bench_predictions` prints one line per format with the goal. Times are of the processor, so
that other work on the machine does not show.
"""

import csv
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from evaluator.predictions.check import check_file
from evaluator.release.info import write_info
from evaluator.release.read import read_questions
from evaluator.release.schema import (
    CLASSIFICATION,
    COARSE_KINDS,
    ITEMS,
    QUESTIONS,
    DatasetInfo,
    ReleaseInfo,
    Split,
    SplitInfo,
)
from tests.bench.table import Row, report

GOAL = 5.0
N_ITEMS = 56_000  # × 6 kinds × 3 variants: a little over a million questions
KINDS = (*COARSE_KINDS, CLASSIFICATION)
NAMES = ("dataset", "image_id", "question", "variant")
LOOPS = {"csv": "csv.DictReader", "jsonl": "json.loads"}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Processor seconds of checking one format and of the plain loop beside it."""

    form: str
    seconds: float
    loop: str
    loop_seconds: float


def write_release(folder: Path, n_items: int) -> None:
    """The tables of a release, without images, which checking predictions never opens."""
    items = [
        {"dataset": f"set_{n % 25}", "image_id": f"{n * 2654435761 % 2**64:032x}", "file": f"images/test/{n}.png"}
        for n in range(n_items)
    ]
    pq.write_table(pa.Table.from_pylist(items, ITEMS), folder / "items.parquet")
    options = {
        (kind, variant): [f"{kind} option {i}" + ("" if variant is None else f", form {variant}") for i in range(6)]
        for kind in KINDS for variant in (None, 0, 1)
    }  # fmt: skip
    with pq.ParquetWriter(folder / "questions.parquet", QUESTIONS) as writer:
        for start in range(0, n_items, 5_000):
            rows = [
                {**item, "question": kind, "variant": variant, "text": f"Which {kind}?", "options": texts}
                for item in items[start : start + 5_000] for (kind, variant), texts in options.items()
            ]  # fmt: skip
            writer.write_table(pa.Table.from_pylist(rows, QUESTIONS))
    sizes = SplitInfo(items=n_items, questions=n_items * len(options), sources=n_items)
    info = ReleaseInfo(
        name="Bench", version="1", hash="0", public_items=True, splits={Split.TEST: sizes}, source_rule={},
        datasets={f"set_{n}": DatasetInfo(title=f"Set {n}", taxonomy="other") for n in range(25)},
    )  # fmt: skip
    write_info(info, folder)


def write_predictions(release: Path, folder: Path) -> None:
    """The same complete predictions as CSV, JSONL and Parquet."""
    rows = [
        {**{name: row[name] for name in NAMES}, "option": row["options"][2]}
        for row in read_questions(release, Split.TEST).to_pylist()
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "predictions.parquet")
    with (folder / "predictions.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*NAMES, "option"])
        writer.writeheader()
        writer.writerows(rows)


def check_by_loop(rows: Iterable[dict[str, Any]], release: Path) -> dict[tuple[Any, ...], int]:
    """What a plain script does: a dictionary of the questions, then one row at a time."""
    questions = read_questions(release, Split.TEST)
    columns = (questions[name].to_pylist() for name in (*NAMES, "options"))
    options = {tuple(names): texts for *names, texts in zip(*columns, strict=True)}
    chosen: dict[tuple[Any, ...], int] = {}
    for row in rows:
        variant = int(row["variant"]) if row["variant"] not in ("", None) else None
        question = (row["dataset"], row["image_id"], row["question"], variant)
        if question in chosen or row["option"] not in options[question]:
            raise ValueError(row)
        chosen[question] = options[question].index(row["option"])
    if len(chosen) < len(options):
        raise ValueError("answers are missing")
    return chosen


def loop_over(path: Path, release: Path) -> None:
    """The plain loop over a CSV or JSONL file."""
    with path.open(newline="") as file:
        check_by_loop(csv.DictReader(file) if path.suffix == ".csv" else map(json.loads, file), release)


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(n_items: int) -> Iterator[Measured]:
    """The formats, each beside its loop; Parquet beside that over the CSV file."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_release(folder, n_items)
        write_predictions(folder, folder)
        loops = {form: seconds(lambda form=form: loop_over(folder / f"predictions.{form}", folder)) for form in LOOPS}
        for form, loop in {"csv": "csv", "parquet": "csv", "jsonl": "jsonl"}.items():
            path = folder / f"predictions.{form}"
            taken = min(seconds(lambda path=path: check_file(path, folder, Split.TEST)) for _ in range(2))
            yield Measured(form=form, seconds=taken, loop=LOOPS[loop], loop_seconds=loops[loop])


def main() -> None:
    for found in measure(N_ITEMS):
        ratio = found.loop_seconds / found.seconds
        report(Row(
            id="P10", workload=f"check 1.0 M rows, {found.form}", ours=f"cpu {found.seconds:.2f} s",
            loop=f"cpu {found.loop_seconds:.2f} s, {found.loop}", ratio=f"{ratio:.1f} x", goal=f"≥ {GOAL:g} x",
            met=ratio >= GOAL,
        ))  # fmt: skip


if __name__ == "__main__":
    main()
