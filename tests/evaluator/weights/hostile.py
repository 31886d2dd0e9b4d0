"""Hostile and broken weight files, each with the code of its refusal. None may be unpickled."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.builders.weights import entry, safetensors_bytes

GIB = 1024**3
GOOD = safetensors_bytes({"a": entry([2])}, bytes(8))


class Hostile(NamedTuple):
    """`write(path, canary)` makes the file; unpickling any payload in it would create `canary`."""

    name: str
    code: str
    write: Callable[[Path, Path], object]


class Canary:
    """Unpickled, this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self.path, "w"))


def _bytes(name: str, code: str, content: bytes) -> Hostile:
    return Hostile(name, code, lambda path, canary: path.write_bytes(content))


def _header(name: str, code: str, header: Any, data: bytes = b"", **options: Any) -> Hostile:
    return _bytes(name, code, safetensors_bytes(header, data, **options))


def _pickle(protocol: int) -> Hostile:
    def write(path: Path, canary: Path) -> None:
        path.write_bytes(pickle.dumps({"w": Canary(canary)}, protocol=protocol))

    return Hostile(f"pickle protocol {protocol}", "pickle", write)


def _pickle_then_garbage(path: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(Canary(canary), protocol=2) + b"\xff" * 100)


def _hand_made_pickle(path: Path, canary: Path) -> None:
    path.write_bytes(f"cos\nsystem\n(S'touch {canary}'\ntR.".encode())


def torch_file(new_format: bool) -> Callable[[Path, Path], None]:
    def write(path: Path, canary: Path) -> None:
        import torch

        torch.save({"w": torch.zeros(2), "x": Canary(canary)}, path, _use_new_zipfile_serialization=new_format)

    return write


def _zip_of(member: str) -> Callable[[Path, Path], None]:
    def write(path: Path, canary: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, pickle.dumps(Canary(canary)))

    return write


def _tar(path: Path, canary: Path) -> None:
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("../../model.safetensors")
        member.size = len(GOOD)
        archive.addfile(member, io.BytesIO(GOOD))


def _npy_of_objects(path: Path, canary: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([Canary(canary)], dtype=object), allow_pickle=True)


def _npz(path: Path, canary: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, w=np.zeros(3))


def _zip_behind_safetensors(path: Path, canary: Path) -> None:
    _zip_of("archive/data.pkl")(path, canary)
    path.write_bytes(GOOD + path.read_bytes())


def _pickle_behind_safetensors(path: Path, canary: Path) -> None:
    path.write_bytes(GOOD + pickle.dumps(Canary(canary)))


def _pickle_with_brace(path: Path, canary: Path) -> None:
    """Looks like a header at byte 8, but the announced length is absurd: it is a pickle."""
    payload = bytearray(pickle.dumps({"{": Canary(canary)}, protocol=4))
    path.write_bytes(bytes(payload[:8]) + b"{" + bytes(payload[8:]))


def _million_empty_tensors(path: Path, canary: Path) -> None:
    empty = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    path.write_bytes(safetensors_bytes("{" + ",".join(f'"{i}":{empty}' for i in range(1_000_000)) + "}"))


def _sparse(size: int, content: bytes) -> Callable[[Path, Path], None]:
    def write(path: Path, canary: Path) -> None:
        with path.open("wb") as file:
            file.write(content)
            file.truncate(size)

    return write


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 605143316\n"
TWICE = '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": {"dtype": "F32", "shape": [1], ' \
        '"data_offsets": [4, 8]}}'  # fmt: skip
TWICE_INSIDE = '{"a": {"dtype": "F32", "dtype": "F16", "shape": [1], "data_offsets": [0, 4]}}'
TWICE_FOR_ANOTHER = '{"a": {"dtype": "F32", "dtype": "F32", "shape": [1]}}'
OTHER_KINDS = [
    *(_pickle(protocol) for protocol in range(6)),
    Hostile("pickle followed by garbage", "pickle", _pickle_then_garbage),
    Hostile("pickle written by hand", "pickle", _hand_made_pickle),
    Hostile("pickle with a brace at byte 8", "pickle", _pickle_with_brace),
    Hostile("torch.save", "zip_archive", torch_file(new_format=True)),
    Hostile("torch.save in the old format", "pickle", torch_file(new_format=False)),
    Hostile("zip with a pickle", "zip_archive", _zip_of("archive/data.pkl")),
    Hostile("zip with a path upwards", "zip_archive", _zip_of("../../etc/cron.d/x")),
    Hostile("npz", "zip_archive", _npz),
    Hostile("npy of objects", "numpy_file", _npy_of_objects),
    Hostile("tar", "tar_archive", _tar),
    _bytes("empty zip", "zip_archive", b"PK\x05\x06" + bytes(18)),
    _bytes("7z", "seven_zip_archive", b"7z\xbc\xaf\x27\x1c" + bytes(64)),
    _bytes("gzip", "compressed_file", gzip.compress(GOOD)),
    _bytes("bzip2", "compressed_file", bz2.compress(GOOD)),
    _bytes("xz", "compressed_file", lzma.compress(GOOD)),
    _bytes("zstandard", "compressed_file", b"\x28\xb5\x2f\xfd" + bytes(32)),
    _bytes("rar", "compressed_file", b"Rar!\x1a\x07\x01\x00"),
    _bytes("HDF5", "hdf5_file", b"\x89HDF\r\n\x1a\n" + bytes(64)),
    _bytes("GGUF", "gguf_file", b"GGUF\x03\x00\x00\x00" + bytes(64)),
    _bytes("HTML", "html_page", b"<!DOCTYPE html><html><body>404</body></html>"),
    _bytes("HTML behind a mark and blanks", "html_page", b"\xef\xbb\xbf\n  <HTML><title>Sign in</title>"),
    _bytes("XML error", "html_page", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
    _bytes("LFS pointer", "lfs_pointer", LFS_POINTER),
    _bytes("shard index", "json_file", json.dumps({"weight_map": {"a": "b.safetensors"}}).encode()),
    _bytes("ELF program", "executable", b"\x7fELF" + bytes(64)),
    _bytes("Windows program", "executable", b"MZ" + bytes(64)),
    _bytes("script", "executable", b"#!/bin/sh\nrm -rf ~\n"),
    _bytes("PNG", "image_file", b"\x89PNG\r\n\x1a\n" + bytes(64)),
    _bytes("JPEG", "image_file", b"\xff\xd8\xff\xe0" + bytes(64)),
    _bytes("empty", "empty_file", b""),
    _bytes("one byte", "not_safetensors", b"\x00"),
    _bytes("length only", "not_safetensors", bytes(8)),
    _bytes("random bytes", "not_safetensors", np.random.default_rng(3).bytes(4096)),
    _bytes("prose", "not_safetensors", b"These are my weights, kind regards"),
]

BROKEN_FILES = [
    _bytes("one byte short", "truncated_file", GOOD[:-1]),
    _bytes("cut in the header", "truncated_file", GOOD[:20]),
    _header("header longer than the file", "truncated_file", "{}", header_bytes=1000),
    _bytes("one byte more", "trailing_bytes", GOOD + b"\x00"),
    Hostile("zip behind the tensors", "trailing_bytes", _zip_behind_safetensors),
    Hostile("pickle behind the tensors", "trailing_bytes", _pickle_behind_safetensors),
    _header("announced length 2^63", "header_too_long", "{}", header_bytes=2**63),
    _header("header just over the limit", "header_too_long", "{" + " " * 2 * 1024**2 + "}"),
    Hostile("a million empty tensors", "header_too_long", _million_empty_tensors),
    Hostile("sparse file over the limit", "file_too_large", _sparse(8 * GIB + 1, GOOD)),
    Hostile("sparse file of zeros", "not_safetensors", _sparse(8 * GIB, b"")),
    Hostile("sparse tail", "trailing_bytes", _sparse(8 * GIB, GOOD)),
    _header("hole", "hole", {"a": entry([1]), "b": entry([1], 8)}, bytes(12)),
    _header("hole at the start", "hole", {"a": entry([1], 4)}, bytes(8)),
    _header("overlap", "overlap", {"a": entry([2]), "b": entry([2], 4)}, bytes(12)),
    _header("two names for the same bytes", "overlap", {"a": entry([1]), "b": entry([1])}, bytes(4)),
]

BROKEN_JSON = [
    _header("200,000 arrays deep", "header_too_complex", '{"a":' + "[" * 200_000),
    _header("5,000 arrays deep", "header_not_json", '{"a":' + "[" * 5_000 + "]" * 5_000 + "}"),
    _header("5,000 objects deep", "header_not_json", '{"a":' * 5_000 + "1" + "}" * 5_000),
    _header("20,001 tensors", "too_many_tensors", {f"t{i}": entry([1], 4 * i) for i in range(20_001)}, bytes(80_004)),
    _header("100,000 numbers in a shape", "bad_shape", {"a": entry([1] * 100_000, 0, 4)}, bytes(4)),
    _header("150,000 objects", "too_many_tensors", "{" + ",".join(f'"{i:x}":{{}}' for i in range(150_000)) + "}"),
    _header("blanks before the brace", "header_not_json", '  {"a": 1}'),
    _header("unclosed", "header_not_json", '{"a": '),
    _header("text behind the brace", "header_not_json", "{} {}"),
    _header("single quotes", "header_not_json", "{'a': 1}"),
    _header("a number of 5,000 digits", "header_not_json", '{"a": ' + "9" * 5_000 + "}"),
    _header("NaN in the header", "header_not_json", '{"a": NaN}'),
    _header("not UTF-8", "header_not_utf8", b'{"\xff\xfe": 1}'),
    _header("duplicate tensor name", "duplicate_name", TWICE, bytes(8)),
    _header("duplicate key in an entry", "bad_entry", TWICE_INSIDE, bytes(4)),
    _header("duplicate key in place of another", "bad_entry", TWICE_FOR_ANOTHER, bytes(4)),
    _header("duplicate metadata", "bad_metadata", '{"__metadata__": {"a": "b", "a": "c"}}'),
    _header("no tensors", "no_tensors", {}),
    _header("metadata only", "no_tensors", {"__metadata__": {"format": "pt"}}),
]

BROKEN_ENTRIES = [
    _header("unknown field", "bad_entry", {"a": {**entry([1]), "code": "x"}}, bytes(4)),
    _header("missing field", "bad_entry", {"a": {"dtype": "F32", "shape": [1]}}),
    _header("entry that is a list", "bad_entry", {"a": [1]}),
    _header("entry that is null", "bad_entry", {"a": None}),
    _header("three offsets", "bad_entry", {"a": {**entry([1]), "data_offsets": [0, 4, 8]}}, bytes(4)),
    _header("negative offset", "overlap", {"a": entry([1], -4)}),
    _header("dtype that is a list", "bad_entry", {"a": {**entry([1]), "dtype": ["F32"]}}, bytes(4)),
    _header("shape that is an object", "bad_entry", {"a": {**entry([1]), "shape": {}}}, bytes(4)),
    _header("offset with a fraction", "bad_entry", {"a": {**entry([1]), "data_offsets": [0, 4.0]}}, bytes(4)),
    _header("offset that is true", "bad_entry", {"a": {**entry([1]), "data_offsets": [False, 4]}}, bytes(4)),
    _header("offset of 4,000 digits", "size_mismatch", {"a": {**entry([1]), "data_offsets": [10**4000, 10**4000 + 4]}}),
    _header("end before start", "size_mismatch", {"a": entry([1], 4, 0)}, bytes(4)),
    _header("bytes that do not fit the shape", "size_mismatch", {"a": entry([3], 0, 8)}, bytes(8)),
    _header("shape that overflows", "size_mismatch", {"a": entry([2**31] * 6, 0, 4)}, bytes(4)),
    _header("no shape", "bad_entry", {"a": {**entry([1]), "shape": None}}, bytes(4)),
    _header("shape that is text", "bad_entry", {"a": {**entry([1]), "shape": "1"}}, bytes(4)),
    _header("shape of text", "bad_entry", {"a": {**entry([1]), "shape": ["1"]}}, bytes(4)),
    _header("shape of true", "bad_shape", {"a": {**entry([1]), "shape": [True]}}, bytes(4)),
    _header("empty dimension", "bad_shape", {"a": entry([0], 0, 0), "b": entry([1])}, bytes(4)),
    _header("dimension of 2^40 and none", "bad_shape", {"a": entry([2**40, 0], 0, 0), "b": entry([1])}, bytes(4)),
    _header("negative dimensions", "bad_shape", {"a": entry([-1, -1], 0, 4)}, bytes(4)),
    _header("rank 7", "bad_shape", {"a": entry([1] * 7)}, bytes(4)),
    _header("rank 10,000", "bad_shape", {"a": entry([1] * 10_000, 0, 4)}, bytes(4)),
    _header("four-bit floats", "dtype_not_allowed", {"a": entry([8], 0, 4, "F4")}, bytes(4)),
    _header("eight-bit floats", "dtype_not_allowed", {"a": entry([4], 0, 4, "F8_E4M3")}, bytes(4)),
    _header("doubles", "dtype_not_allowed", {"a": entry([1], 0, 8, "F64")}, bytes(8)),
    _header("integers as weights", "dtype_not_allowed", {"a": entry([1], 0, 8, "I64")}, bytes(8)),
    _header("booleans", "dtype_not_allowed", {"a": entry([4], 0, 4, "BOOL")}, bytes(4)),
    _header("made-up dtype", "dtype_not_allowed", {"a": entry([1], dtype="__import__")}, bytes(4)),
    _header("dtype that is a number", "dtype_not_allowed", {"a": {**entry([1]), "dtype": 32}}, bytes(4)),
    _header("name with NUL", "bad_name", {"a\0b": entry([1])}, bytes(4)),
    _header("name with a line break", "bad_name", {"a\nb": entry([1])}, bytes(4)),
    _header("name ending in a line break", "bad_name", {"a\n": entry([1])}, bytes(4)),
    _header("name with markup", "bad_name", {"<script>alert(1)</script>": entry([1])}, bytes(4)),
    _header("name that is a path", "bad_name", {"../../etc/passwd": entry([1])}, bytes(4)),
    _header("name in look-alike letters", "bad_name", {"visual.cоnv1": entry([1])}, bytes(4)),  # Cyrillic о
    _header("name with half a character", "bad_name", '{"\\ud800": ' + json.dumps(entry([1])) + "}", bytes(4)),
    _header("empty name", "bad_name", {"": entry([1])}, bytes(4)),
    _header("name of 257 characters", "bad_name", {"a" * 257: entry([1])}, bytes(4)),
    _header("nested metadata", "bad_metadata", {"__metadata__": {"a": {"b": "c"}}, "a": entry([1])}, bytes(4)),
    _header("metadata of numbers", "bad_metadata", {"__metadata__": {"a": 1}, "a": entry([1])}, bytes(4)),
    _header("metadata that is a list", "bad_metadata", {"__metadata__": ["a"], "a": entry([1])}, bytes(4)),
    _header("65 metadata texts", "bad_metadata",
            {"__metadata__": {str(i): "" for i in range(65)}, "a": entry([1])}, bytes(4)),
    _header("long metadata text", "bad_metadata", {"__metadata__": {"a": "x" * 1001}, "a": entry([1])}, bytes(4)),
]  # fmt: skip

HOSTILE = [*OTHER_KINDS, *BROKEN_FILES, *BROKEN_JSON, *BROKEN_ENTRIES]
