"""Text files read line by line. In: a CSV or JSONL file; out: batches of PREDICTIONS, and a problem per bad line.

Slow; for the files that the fast reader gave up on. Holds one line and one batch at a time.
"""

import csv
import json
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa

from evaluator.errors import ProblemLog
from evaluator.predictions.boxes import BadBoxes, is_text, parse_boxes, read_boxes, refuse_constant, refuse_repeats
from evaluator.predictions.columns import BAD_VARIANT, BOXES, COLUMNS, NAMES, PREDICTIONS, VARIANT_TEXTS
from evaluator.predictions.fast import read_header
from evaluator.predictions.formats import PlainFile
from evaluator.predictions.limits import Limits, too_many_rows

BATCH_ROWS = 4_096
BATCH_CELLS = 1 << 20  # characters and boxes held at a time, in rows with long ones
INT64 = range(-(2**63), 2**63)

Record = dict[str, Any]


def read_csv(file: PlainFile, limits: Limits, max_rows: int, problems: ProblemLog) -> Iterator[pa.RecordBatch]:
    """As `fast.read_csv`, naming every line that is no record of this file."""
    names = read_header(file, limits)
    with file.path.open("rb") as opened:
        lines = _Lines(opened, limits)
        yield from _batches(_csv_records(csv.reader(lines, strict=True), lines, names, max_rows, problems))


def read_jsonl(file: PlainFile, limits: Limits, max_rows: int, problems: ProblemLog) -> Iterator[pa.RecordBatch]:
    """As `fast.read_jsonl`, with `option` text or index in each line, naming every line that is no such object."""
    with file.path.open("rb") as opened:
        yield from _batches(_jsonl_records(_Lines(opened, limits), max_rows, problems))


def _csv_records(
    reader: Any, lines: "_Lines", names: list[str], max_rows: int, problems: ProblemLog
) -> Iterator[Record]:
    next(reader)
    row = 0
    while True:
        first_line = lines.number
        try:
            fields = next(reader, None)
            fault = lines.fault_since(first_line)
        except csv.Error as error:
            fields, fault = [], ("bad_csv", f"The line is no CSV ({error}). Check its quotes.")
        if fields is None:
            return
        if not fields and fault is None:
            continue  # a blank line
        row += 1
        if row > max_rows:
            raise too_many_rows(max_rows)
        if fault is None and len(fields) != len(names):
            fault = ("bad_csv", f"The row has {len(fields)} fields, the header {len(names)}. Quote texts with commas.")
        if fault is not None:
            problems.add(*fault, row=row)
            continue
        record: Record = {name: text or None for name, text in zip(names, fields, strict=True) if name in COLUMNS}
        if (variant := record.get("variant")) is not None:
            record["variant"] = VARIANT_TEXTS.get(variant, BAD_VARIANT)
        try:
            if (boxes := record.get(BOXES)) is not None:
                record[BOXES] = parse_boxes(boxes)
        except BadBoxes as bad:
            problems.add("bad_boxes", str(bad), row=row)
            continue
        yield record | {"row": row}


def _jsonl_records(lines: "_Lines", max_rows: int, problems: ProblemLog) -> Iterator[Record]:
    row = 0
    for text in lines:
        fault = lines.fault_since(lines.number - 1)
        if not text.strip() and fault is None:
            continue
        row += 1
        if row > max_rows:
            raise too_many_rows(max_rows)

        if fault is not None:
            problems.add(*fault, row=row)
            continue
        try:
            yield _read_object(text) | {"row": row}
        except _BadLine as bad:
            problems.add(bad.code, bad.message, row=row)


class _BadLine(Exception):
    """A line of JSONL that is no prediction."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


def _read_object(text: str) -> Record:
    """One line of JSONL as a record. Raises _BadLine."""
    try:
        found = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_repeats)
    except (ValueError, RecursionError) as error:
        raise _BadLine("bad_json", f"The line is no JSON object ({error}). Write one object per line.") from error
    if not isinstance(found, dict):
        raise _BadLine("bad_json", "The line is JSON but no object. Write one object per line.")
    record: Record = {name: found.get(name) for name in COLUMNS}
    for name in (*NAMES, "reply"):
        if record[name] is not None and not is_text(record[name]):
            raise _BadLine("bad_type", f"`{name}` is {_shown(record[name])}; it must be text.")
    if record[BOXES] is not None:
        try:
            record[BOXES] = read_boxes(record[BOXES])
        except BadBoxes as bad:
            raise _BadLine("bad_boxes", str(bad)) from bad
    variant, option = record["variant"], record.pop("option")
    if variant is not None and (not _is_int(variant) or variant not in (0, 1)):
        record["variant"] = BAD_VARIANT
    if _is_int(option):
        record["index"] = option if option in INT64 else -1  # neither is the index of an option
    elif is_text(option):
        record["option"] = option
    elif option is not None:
        wanted = "it must be the option's text or its 0-based index as an integer"
        raise _BadLine("bad_type", f"`option` is {_shown(option)}; {wanted}.")
    return record


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _batches(records: Iterator[Record]) -> Iterator[pa.RecordBatch]:
    held: list[Record] = []
    cells = 0
    for record in records:
        held.append(record)
        cells += sum(len(value) for value in record.values() if isinstance(value, str | list))
        if len(held) == BATCH_ROWS or cells > BATCH_CELLS:
            yield pa.RecordBatch.from_pylist(held, PREDICTIONS)
            held, cells = [], 0
    if held:
        yield pa.RecordBatch.from_pylist(held, PREDICTIONS)


class _Lines:
    """Lines of a file as text. A line too long or not UTF-8 comes as a stand-in, and `fault_since` tells of it."""

    def __init__(self, opened: IO[bytes], limits: Limits) -> None:
        self._opened, self._longest = opened, limits.line_bytes
        self.number = 0  # lines delivered so far
        self._fault_line = 0
        self._fault: tuple[str, str] | None = None

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._opened.readline(self._longest + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line.rstrip(b"\n")) > self._longest:
            while line and not line.endswith(b"\n"):
                line = self._opened.readline(self._longest + 1)
            self._note(
                "line_too_long", f"The line has more than {self._longest} bytes. Leave out what is not asked for."
            )
            return "\n"
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError:
            self._note("bad_encoding", "The line is not UTF-8. Save the file as UTF-8.")
            return line.decode("utf-8", errors="replace")

    def fault_since(self, line: int) -> tuple[str, str] | None:
        """Code and sentence of a fault in the lines after number `line`."""
        return self._fault if self._fault_line > line else None

    def _note(self, code: str, message: str) -> None:
        self._fault_line, self._fault = self.number, (code, message)
