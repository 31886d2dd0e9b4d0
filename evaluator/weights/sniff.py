"""What a file really is, by its first bytes. In: a path; out: a FileKind with a sentence. Parses nothing."""

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from evaluator.errors import Problem

MAX_HEADER_BYTES = 2 * 1024**2
SNIFFED_BYTES = 1024
CONVERT = (
    "Convert it on your own machine with `python -m evaluator convert FILE --out FILE.safetensors` and submit that."
)


class FileKind(StrEnum):
    """Kinds told apart because each asks something else of the submitter."""

    SAFETENSORS = "safetensors"
    EMPTY = "empty_file"
    PICKLE = "pickle"
    ZIP = "zip_archive"
    SEVEN_ZIP = "seven_zip_archive"
    COMPRESSED = "compressed_file"
    TAR = "tar_archive"
    NUMPY = "numpy_file"
    HDF5 = "hdf5_file"
    GGUF = "gguf_file"
    HTML = "html_page"
    LFS_POINTER = "lfs_pointer"
    JSON = "json_file"
    EXECUTABLE = "executable"
    IMAGE = "image_file"
    UNKNOWN = "not_safetensors"


WHAT_TO_DO: dict[FileKind, str] = {
    FileKind.EMPTY: "The file is empty. Save it again and check its size before you send it.",
    FileKind.PICKLE: f"This is a Python pickle, which is a program, not data; it was not opened. {CONVERT}",
    FileKind.ZIP: f"This is a zip archive (torch.save writes such files); it was not opened. {CONVERT}",
    FileKind.SEVEN_ZIP: "This is a 7z archive. Unpack it and send the one .safetensors file inside.",
    FileKind.COMPRESSED: "This file is compressed. Decompress it and send the bare .safetensors file.",
    FileKind.TAR: "This is a tar archive. Unpack it and send the one .safetensors file inside.",
    FileKind.NUMPY: "This is a NumPy file. Save the model's state_dict with safetensors.torch.save_file instead.",
    FileKind.HDF5: "This is an HDF5 file. Save the model's state_dict with safetensors.torch.save_file instead.",
    FileKind.GGUF: "This is a GGUF file of quantised weights. Send the float weights as safetensors.",
    FileKind.HTML: "This is a web page, usually an error or sign-in page saved by a download. Fetch the weights again.",
    FileKind.LFS_POINTER: "This is a Git LFS pointer, not the weights. Run `git lfs pull` and send the real file.",
    FileKind.JSON: "This is a JSON text, such as a config or shard index. Send the .safetensors file with the weights.",
    FileKind.EXECUTABLE: "This is an executable program. Send the model's weights as a safetensors file.",
    FileKind.IMAGE: "This is a picture. Send the model's weights as a safetensors file.",
    FileKind.UNKNOWN: "This is not a safetensors file. Save the model's state_dict with safetensors.torch.save_file.",
}


class Magic(NamedTuple):
    """Bytes that a kind of file carries at a fixed place."""

    kind: FileKind
    at: int
    bytes: bytes


MAGICS = (
    Magic(FileKind.ZIP, 0, b"PK\x03\x04"),
    Magic(FileKind.ZIP, 0, b"PK\x05\x06"),
    Magic(FileKind.SEVEN_ZIP, 0, b"7z\xbc\xaf\x27\x1c"),
    Magic(FileKind.COMPRESSED, 0, b"\x1f\x8b"),
    Magic(FileKind.COMPRESSED, 0, b"BZh"),
    Magic(FileKind.COMPRESSED, 0, b"\xfd7zXZ\x00"),
    Magic(FileKind.COMPRESSED, 0, b"\x28\xb5\x2f\xfd"),
    Magic(FileKind.COMPRESSED, 0, b"Rar!"),
    Magic(FileKind.TAR, 257, b"ustar"),
    Magic(FileKind.NUMPY, 0, b"\x93NUMPY"),
    Magic(FileKind.HDF5, 0, b"\x89HDF\r\n\x1a\n"),
    Magic(FileKind.GGUF, 0, b"GGUF"),
    Magic(FileKind.LFS_POINTER, 0, b"version https://git-lfs"),
    Magic(FileKind.EXECUTABLE, 0, b"\x7fELF"),
    Magic(FileKind.EXECUTABLE, 0, b"MZ"),
    Magic(FileKind.EXECUTABLE, 0, b"#!"),
    Magic(FileKind.IMAGE, 0, b"\x89PNG\r\n\x1a\n"),
    Magic(FileKind.IMAGE, 0, b"\xff\xd8\xff"),
    Magic(FileKind.PICKLE, 0, b"\x80\x01"),
    Magic(FileKind.PICKLE, 0, b"\x80\x02"),
    Magic(FileKind.PICKLE, 0, b"\x80\x03"),
    Magic(FileKind.PICKLE, 0, b"\x80\x04"),
    Magic(FileKind.PICKLE, 0, b"\x80\x05"),
)
# Protocols 0 and 1 have no magic; these openings are what pickle.dumps and hand-made payloads begin with.
OLD_PICKLE_OPENINGS = (
    b"}q", b"]q", b"(dp", b"(lp", b"(d", b"(l", b"(i", b"ctorch", b"ccollections\n", b"cos\n", b"cposix\n", b"cnt\n",
    b"csys\n", b"csubprocess\n", b"cbuiltins\n", b"c__builtin__\n",
)  # fmt: skip


def sniff(path: Path) -> FileKind:
    """The kind of the file at `path`, from at most its first 1,024 bytes; the file's name plays no part."""
    with path.open("rb") as file:
        return sniff_bytes(file.read(SNIFFED_BYTES))


def sniff_bytes(start: bytes) -> FileKind:
    """The kind of a file that begins with `start`.

    Safetensors comes first: its leading header length may look like another format's magic (a 640-byte header
    begins with the bytes of a pickle), but nothing else has five zero bytes there and then a brace.
    """
    if not start:
        return FileKind.EMPTY
    if len(start) >= 9 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= MAX_HEADER_BYTES:
        return FileKind.SAFETENSORS
    for magic in MAGICS:
        if start.startswith(magic.bytes, magic.at):
            return magic.kind
    if start.startswith(OLD_PICKLE_OPENINGS):
        return FileKind.PICKLE
    return _sniff_text(start.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower())


def _sniff_text(text: bytes) -> FileKind:
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--", b"<script")):
        return FileKind.HTML
    if text.startswith((b"{", b"[")):
        return FileKind.JSON
    return FileKind.UNKNOWN


def problem_with(kind: FileKind) -> Problem:
    """The refusal of a file of this kind: the kind is the code. Not for FileKind.SAFETENSORS."""
    return Problem(code=kind.value, message=WHAT_TO_DO[kind], field="file")
