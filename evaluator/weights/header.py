"""Our own safetensors header validator. In: a path; out: a Header, or every problem at once. Standard library only.

Stricter than the format's own reader, and cheap on any file: at most 2 MiB are read, the JSON is bounded before it
is parsed (≤ 50 ms, ≤ 64 MB whatever was sent). Tensor data is never read here.
"""

import gc
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from evaluator.errors import InputError, Problem
from evaluator.weights.sniff import MAX_HEADER_BYTES, SNIFFED_BYTES, FileKind, problem_with, sniff_bytes

MAX_FILE_BYTES = 8 * 1024**3
MAX_TENSORS = 20_000
MAX_RANK = 6
MAX_DIMENSION = 2**31
MAX_OFFSET = 2**63
MAX_METADATA = 64
MAX_METADATA_CHARACTERS = 1_000
EXAMPLES = 5

ITEM_BYTES = {"F16": 2, "BF16": 2, "F32": 4, "I64": 8}
INDEX_BUFFERS = ("position_ids", "num_batches_tracked", "relative_position_index")  # the only names that may be I64
NAMES = re.compile(r"[A-Za-z0-9_.]{1,256}(?:\n[A-Za-z0-9_.]{1,256})*")

# More of a character than a rightful header can hold means a bomb; counting is far cheaper than parsing.
SLACK = 16_000  # for characters inside metadata texts
MOST = {b"[": (2, SLACK), b":": (4, SLACK), b",": (MAX_RANK + 3, 10 * SLACK)}  # per object, and beyond


class _Fault(Enum):
    """What is wrong with one entry of the header; the value is the code."""

    BAD_NAME = "bad_name"
    BAD_ENTRY = "bad_entry"
    DTYPE_NOT_ALLOWED = "dtype_not_allowed"
    BAD_SHAPE = "bad_shape"
    SIZE_MISMATCH = "size_mismatch"


WHAT_IS_WRONG = {
    _Fault.BAD_NAME: "Tensor names may hold letters, digits, '_' and '.', at most 256 of them",
    _Fault.BAD_ENTRY: "Each tensor has exactly dtype, shape and data_offsets, with whole numbers",
    _Fault.DTYPE_NOT_ALLOWED: "Tensors must be F32, F16 or BF16 (I64 only for index buffers such as position_ids)",
    _Fault.BAD_SHAPE: f"Shapes have at most {MAX_RANK} dimensions of 1 to 2^31",
    _Fault.SIZE_MISMATCH: "The bytes set aside differ from what shape and dtype need",
}


class Tensor(NamedTuple):
    """One tensor as the header states it; `start` and `end` count from the first byte after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Header:
    """A valid header: tensors in file order, their bytes contiguous from `data_start` to the end of the file."""

    tensors: Mapping[str, Tensor]
    data_start: int
    file_bytes: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tensor.shape for name, tensor in self.tensors.items()}


def read_header(path: Path, *, max_file_bytes: int = MAX_FILE_BYTES) -> Header:
    """Read and check the header of the safetensors file at `path`; see `read_open_header`."""
    with path.open("rb") as file:
        return read_open_header(file, max_file_bytes=max_file_bytes)


def read_open_header(file: BinaryIO, *, max_file_bytes: int = MAX_FILE_BYTES) -> Header:
    """Read and check the header of an open safetensors file.

    Raises InputError with every problem found: first what keeps the header from being read at all, else all
    faults of its entries together, at most EXAMPLES names per code.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(SNIFFED_BYTES)
    _refuse_other_kinds(start, file_bytes, max_file_bytes)
    header_bytes = int.from_bytes(start[:8], "little")
    file.seek(8)
    raw = file.read(header_bytes)
    with _collector_paused():
        return _check(_parse(raw), data_start=8 + header_bytes, file_bytes=file_bytes)


def _refuse_other_kinds(start: bytes, file_bytes: int, max_file_bytes: int) -> None:
    problems = []
    kind = sniff_bytes(start)
    header_bytes = int.from_bytes(start[:8], "little")
    if kind in (FileKind.UNKNOWN, FileKind.JSON) and start[8:9] == b"{":
        message = (f"The file announces a header of {header_bytes:,} bytes; at most {MAX_HEADER_BYTES:,} are allowed. "
                   "Save the weights again without extra tensors or metadata.")  # fmt: skip
        problems.append(Problem(code="header_too_long", message=message, field="file"))
    elif kind is FileKind.UNKNOWN and start[8:9].isspace() and header_bytes <= MAX_HEADER_BYTES:
        message = "The header begins with blanks; the format wants '{'. Write the file with the safetensors library."
        problems.append(Problem(code="header_not_json", message=message, field="file"))
    elif kind is not FileKind.SAFETENSORS:
        problems.append(problem_with(kind))
    elif 8 + header_bytes > file_bytes:
        problems.append(_truncated(f"its header ends at byte {8 + header_bytes:,}", file_bytes))
    if file_bytes > max_file_bytes:
        message = (f"The file has {file_bytes:,} bytes; at most {max_file_bytes:,} are accepted. "
                   "Store the weights in half precision or leave out what the model does not need.")  # fmt: skip
        problems.append(Problem(code="file_too_large", message=message, field="file"))
    if problems:
        raise InputError(problems)


def _truncated(promise: str, file_bytes: int) -> Problem:
    message = f"The file stops at byte {file_bytes:,} although {promise}: it is truncated. Copy or upload it again."
    return Problem(code="truncated_file", message=message, field="file")


class _HeaderRefused(ValueError):
    """Raised inside the JSON parser's hooks."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def _parse(raw: bytes) -> dict[str, Any]:
    n_objects = raw.count(b"{")
    if n_objects > MAX_TENSORS + SLACK:
        _refuse("too_many_tensors", f"The header lists more than the {MAX_TENSORS:,} tensors that are allowed.")
    if any(raw.count(character) > most * n_objects + slack for character, (most, slack) in MOST.items()):
        _refuse("header_too_complex", "The header holds far more than tensors. Write it with the safetensors library.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        _refuse("header_not_utf8", "The header is not UTF-8 text. Write the file with the safetensors library.")
    try:
        pairs = json.loads(
            text, object_pairs_hook=_read_object, parse_constant=_refuse_constant, parse_float=_refuse_float
        )
    except _HeaderRefused as refused:
        _refuse(refused.code, str(refused))
    except (ValueError, RecursionError):
        _refuse("header_not_json", "The header is not valid JSON. Write the file with the safetensors library.")
    if type(pairs) is not tuple:
        _refuse("header_not_json", "The header is not a JSON object. Write the file with the safetensors library.")
    entries = dict(pairs)
    if len(entries) != len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = times.most_common(1)[0][0]
        message = f"The header names {_shown(twice)} twice, so which one counts is open. Give each tensor one name."
        _refuse("duplicate_name", message)
    return entries


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Parsing allocates 100,000 objects of which none is garbage; looking for some takes as long as the parsing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _refuse(code: str, message: str) -> NoReturn:
    raise InputError.single(code, message, field="file")


def _read_object(pairs: list[tuple[str, Any]]) -> Any:
    """JSON hook: a tensor's entry becomes a Tensor, or the fault in it; any other object stays a tuple of its pairs.

    Done while parsing, so that an entry's pieces are freed at once. Called 20,000 times: every line is a millisecond.
    """
    try:
        (first, dtype), (second, shape), (third, (start, end)) = pairs
        if first != "dtype" or second != "shape" or third != "data_offsets":
            dtype, shape, (start, end) = _in_usual_order(pairs)
        if type(shape) is not list or type(start) is not int or type(end) is not int:
            return _Fault.BAD_ENTRY
        n_bytes = ITEM_BYTES.get(dtype)
        if n_bytes is None:
            return _Fault.DTYPE_NOT_ALLOWED
        if len(shape) > MAX_RANK:
            return _Fault.BAD_SHAPE
        for size in shape:
            if not 1 <= size <= MAX_DIMENSION or size is True:  # in JSON, true is no 1
                return _Fault.BAD_SHAPE
            n_bytes *= size
    except (TypeError, ValueError):  # not these three pairs, not two offsets, not numbers
        return tuple(pairs)
    if end - start != n_bytes or end > MAX_OFFSET:
        return _Fault.SIZE_MISMATCH
    return tuple.__new__(Tensor, (dtype, tuple(shape), start, end))  # Tensor(…) costs as much as all of the above


def _in_usual_order(pairs: list[tuple[str, Any]]) -> list[Any]:
    fields = dict(pairs)
    if fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError("other fields")
    return [fields["dtype"], fields["shape"], fields["data_offsets"]]


def _refuse_constant(constant: str) -> NoReturn:
    raise _HeaderRefused("header_not_json", f"The header holds {constant}, which JSON does not know.")


def _refuse_float(number: str) -> NoReturn:
    raise _HeaderRefused("bad_entry", f"The header holds the fraction {number[:20]}; sizes are whole numbers.")


def _shown(name: str) -> str:
    """A name safe to print: hostile names hold line breaks, markup or control characters."""
    return ascii(name if len(name) <= 80 else name[:80] + "…")


def _check(entries: dict[str, Any], *, data_start: int, file_bytes: int) -> Header:
    problems = _metadata_problems(entries.pop("__metadata__", ()))
    if not entries:
        problems.append(Problem(code="no_tensors", message="The file holds no tensors.", field="file"))
    if len(entries) > MAX_TENSORS:
        message = f"The header lists {len(entries):,} tensors; at most {MAX_TENSORS:,} are allowed."
        raise InputError([*problems, Problem(code="too_many_tensors", message=message, field="file")])
    faults = _Faults()
    _check_names(entries, faults)
    for name, entry in entries.items():
        if type(entry) is not Tensor:
            faults.add(entry if type(entry) is _Fault else _Fault.BAD_ENTRY, name)
        elif entry[0] == "I64" and not name.endswith(INDEX_BUFFERS):
            faults.add(_Fault.DTYPE_NOT_ALLOWED, name)
    tensors = entries
    if not faults.names and tensors:  # the layout can only be judged when every entry is understood
        starts = [tensor[2] for tensor in tensors.values()]
        if starts != sorted(starts):
            tensors = dict(sorted(tensors.items(), key=lambda item: item[1][2]))
        problems += _layout_problems(tensors, file_bytes - data_start, file_bytes)
    problems += faults.problems()
    if problems:
        raise InputError(problems)
    return Header(tensors=tensors, data_start=data_start, file_bytes=file_bytes)


class _Faults:
    """Names per fault, so that a thousand bad entries make one sentence of each kind."""

    def __init__(self) -> None:
        self.names: dict[_Fault, list[str]] = {}

    def add(self, fault: _Fault, name: str) -> None:
        self.names.setdefault(fault, []).append(name)

    def problems(self) -> list[Problem]:
        return [
            Problem(code=fault.value, field="file", message=f"{WHAT_IS_WRONG[fault]}; {_examples(names)}.")
            for fault, names in self.names.items()
        ]


def _examples(names: list[str]) -> str:
    shown = ", ".join(_shown(name) for name in names[:EXAMPLES])
    return f"{len(names):,} wrong: {shown}{' …' if len(names) > EXAMPLES else ''}"


def _check_names(entries: dict[str, Any], faults: _Faults) -> None:
    joined = "\n".join(entries)  # one match for all names: 20,000 single ones would cost half the time budget
    if joined.count("\n") == len(entries) - 1 and NAMES.fullmatch(joined):
        return
    matches = NAMES.fullmatch
    if bad := [name for name in entries if "\n" in name or not matches(name)]:
        faults.names[_Fault.BAD_NAME] = bad


def _layout_problems(tensors: dict[str, Tensor], data_bytes: int, file_bytes: int) -> list[Problem]:
    """`tensors` sorted by start: their bytes must follow each other from 0 to the end of the file."""
    starts = [tensor[2] for tensor in tensors.values()]
    ends = [tensor[3] for tensor in tensors.values()]
    if starts == [0, *ends[:-1]] and ends[-1] == data_bytes:
        return []
    problems = []
    for name, position, start in zip(tensors, [0, *ends], starts, strict=False):
        if start != position:
            code, what = ("overlap", "begins before byte") if start < position else ("hole", "begins behind byte")
            message = (f"{_shown(name)} {what} {position:,}, where the one before it ends. "
                       "Write the file with the safetensors library.")  # fmt: skip
            problems.append(Problem(code=code, message=message, field="file"))
            break
    ends_at = max(ends)
    if ends_at > data_bytes:
        problems.append(_truncated(f"its tensors end at byte {file_bytes - data_bytes + ends_at:,}", file_bytes))
    elif ends_at < data_bytes:
        message = f"{data_bytes - ends_at:,} bytes follow the last tensor. Write the file with the safetensors library."
        problems.append(Problem(code="trailing_bytes", message=message, field="file"))
    return problems


def _metadata_problems(pairs: Any) -> list[Problem]:
    if type(pairs) is tuple and len(pairs) <= MAX_METADATA and len(dict(pairs)) == len(pairs):
        texts = [text for pair in pairs for text in pair]
        if all(isinstance(text, str) and len(text) <= MAX_METADATA_CHARACTERS for text in texts):
            return []
    message = (f"__metadata__ may hold at most {MAX_METADATA} texts of {MAX_METADATA_CHARACTERS:,} characters. "
               "Save the weights without metadata: nothing of it is used.")  # fmt: skip
    return [Problem(code="bad_metadata", message=message, field="file")]
