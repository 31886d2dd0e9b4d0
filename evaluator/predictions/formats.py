"""What kind of prediction file this is. In: a path; out: a plain file and its format, by content, never by name."""

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from evaluator.errors import InputError
from evaluator.predictions.limits import Limits
from evaluator.weights.sniff import FileKind, sniff_bytes

SNIFFED_BYTES = 4096
CHUNK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"
PARQUET_MAGIC = b"PAR1"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
ACCEPTED = "Send predictions as JSONL, CSV or Parquet (each may be gzipped)."


class Format(StrEnum):
    """The kinds of prediction file."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


REFUSALS: dict[FileKind, str] = {
    FileKind.EMPTY: "The file is empty. Check its size before you send it.",
    FileKind.PICKLE: f"This is a Python pickle, which is a program, not data; it was not opened. {ACCEPTED}",
    FileKind.ZIP: f"This is a zip archive (spreadsheets and .npz files are such too). {ACCEPTED}",
    FileKind.SEVEN_ZIP: f"This is a 7z archive. Unpack it. {ACCEPTED}",
    FileKind.COMPRESSED: f"This file is compressed in another way than one gzip layer. {ACCEPTED}",
    FileKind.TAR: f"This is a tar archive. Unpack it. {ACCEPTED}",
    FileKind.NUMPY: f"This is a NumPy file. {ACCEPTED}",
    FileKind.HDF5: f"This is an HDF5 file. {ACCEPTED}",
    FileKind.GGUF: f"These are model weights, not predictions. {ACCEPTED}",
    FileKind.SAFETENSORS: "These are model weights, not predictions. Submit them as a checkpoint instead.",
    FileKind.HTML: "This is a web page, usually an error or sign-in page saved by a download. Fetch the file again.",
    FileKind.LFS_POINTER: "This is a Git LFS pointer, not the file. Run `git lfs pull` and send the real file.",
    FileKind.EXECUTABLE: f"This is an executable program. {ACCEPTED}",
    FileKind.IMAGE: f"This is a picture. {ACCEPTED}",
}


@dataclass(frozen=True, kw_only=True)
class PlainFile:
    """A prediction file without its compression."""

    path: Path
    format: Format
    n_bytes: int


@contextmanager
def open_plain(path: Path, limits: Limits) -> Iterator[PlainFile]:
    """The file as it can be read; a gzipped one is unpacked to a temporary file first. Raises InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError.single("no_such_file", f"{path} is not a file. Name the prediction file.", field="file")
    _check_size(path.stat().st_size, limits)
    with path.open("rb") as file:
        start = file.read(SNIFFED_BYTES)
    if not start.startswith(GZIP_MAGIC):
        yield _recognise(path, start)
        return
    with tempfile.NamedTemporaryFile(prefix="predictions-") as unpacked:
        _gunzip(path, unpacked, limits)
        unpacked.seek(0)
        start = unpacked.read(SNIFFED_BYTES)
        yield _recognise(Path(unpacked.name), start)


def _recognise(path: Path, start: bytes) -> PlainFile:
    if start.startswith(PARQUET_MAGIC):
        return PlainFile(path=path, format=Format.PARQUET, n_bytes=path.stat().st_size)
    if start.startswith(UTF16_MARKS):
        raise InputError.single("bad_encoding", "The file is UTF-16 text. Save it as UTF-8.", field="file")
    kind = sniff_bytes(start)
    if refusal := REFUSALS.get(kind):
        raise InputError.single(kind.value, refusal, field="file")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise InputError.single(FileKind.EMPTY.value, "The file is empty or starts with blanks only.", field="file")
    if b"\0" in start:
        raise InputError.single("binary_file", f"This is a binary file of no known kind. {ACCEPTED}", field="file")
    if text.startswith(b"["):
        raise InputError.single(
            "json_array", "This is one JSON array. Write one JSON object per line instead (JSONL).", field="file"
        )
    format_ = Format.JSONL if text.startswith(b"{") else Format.CSV
    return PlainFile(path=path, format=format_, n_bytes=path.stat().st_size)


def _gunzip(path: Path, unpacked: IO[bytes], limits: Limits) -> None:
    """Unpack, and stop at the size limit: a small file can unpack into a huge one."""
    n_bytes = 0
    try:
        with gzip.open(path) as packed:
            while chunk := packed.read(CHUNK_BYTES):
                n_bytes += len(chunk)
                _check_size(n_bytes, limits)
                unpacked.write(chunk)
        unpacked.flush()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError.single(
            "damaged_gzip", f"The gzip data is damaged or cut off ({error}). Compress and send it again.", field="file"
        ) from error


def _check_size(n_bytes: int, limits: Limits) -> None:
    if n_bytes > limits.file_bytes:
        raise InputError.single(
            "file_too_large", f"The file has more than {limits.file_bytes} bytes unpacked. Send only what is asked.",
            field="file",
        )  # fmt: skip
