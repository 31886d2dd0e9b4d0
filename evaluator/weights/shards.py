"""Shards of one checkpoint and their index. In: an open index, headers of shards; out: its map, or all problems.

The index is the JSON text that Hugging Face writes: {"metadata": …, "weight_map": {tensor: shard}}. Standard library
only; read as strictly as a header, for it comes from strangers too.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from evaluator.errors import InputError, Problem
from evaluator.weights.header import EXAMPLES, MAX_METADATA, MAX_TENSORS, NAMES, Header

INDEX_SUFFIX = ".safetensors.index.json"
SHARD_SUFFIX = ".safetensors"
MAX_FILES = 64  # of one checkpoint, its index among them
MAX_INDEX_BYTES = 4 * 1024**2
MAX_BRACKETS = 1_000  # an index has three objects; more than a few brackets in texts means a bomb
FLAT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
WRITE_AGAIN = "Send the index that was written with the shards, unchanged."


def is_index(name: str) -> bool:
    """Whether a file of this name is the index of shards."""
    return name.endswith(INDEX_SUFFIX)


def set_digest(digests: Mapping[str, str]) -> str:
    """The SHA-256 of a checkpoint from those of its files (name → hex): the only file's own, or that of the sorted
    lines "name sha256" of all files, index included."""
    if len(digests) == 1:
        return next(iter(digests.values()))
    return hashlib.sha256(
        "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items())).encode()
    ).hexdigest()


def read_index(file: BinaryIO) -> dict[str, str]:
    """Tensor → name of its shard, from an open index; InputError when it is too large, no index, or names folders."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > MAX_INDEX_BYTES:
        message = f"The index has {size:,} bytes; at most {MAX_INDEX_BYTES:,} are read. {WRITE_AGAIN}"
        raise InputError.single("index_too_large", message, field="file")
    return _check_index(_parse(file.read(MAX_INDEX_BYTES)))


def set_problems(index: Mapping[str, str], sent: Iterable[str]) -> list[Problem]:
    """Shards that the index names and nobody sent, and the reverse."""
    named, given = set(index.values()), set(sent)
    return _listed(
        ("missing_shard", "shards that the index names are missing", "Send them too", sorted(named - given)),
        ("unnamed_shard", "files are not named by the index", "Leave them out or send the right index",
         sorted(given - named)),
    )  # fmt: skip


def tensor_problems(index: Mapping[str, str], headers: Mapping[str, Header]) -> list[Problem]:
    """Where the index and the shards disagree on tensors; shards without a header here are left out of it."""
    holders: dict[str, list[str]] = {}
    for name, header in headers.items():
        for tensor in header.tensors:
            holders.setdefault(tensor, []).append(name)
    twice = [f"{tensor} in {' and '.join(names)}" for tensor, names in holders.items() if len(names) > 1]
    absent = [
        f"{tensor} in {shard}" for tensor, shard in index.items()
        if shard in headers and shard not in holders.get(tensor, ())
    ]  # fmt: skip
    unlisted = [f"{tensor} in {names[0]}" for tensor, names in holders.items() if tensor not in index]
    again = "Save the model again in one go"
    return _listed(
        ("tensor_twice", "tensors are in more than one shard", again, twice),
        ("tensor_not_in_shard", "tensors are not in the shard that the index names", again, absent),
        ("tensor_not_in_index", "tensors of the shards are not in the index", again, unlisted),
    )


def _listed(*kinds: tuple[str, str, str, list[str]]) -> list[Problem]:
    return [
        Problem(
            code=code, field="file",
            message=f"{len(names):,} {what}: {', '.join(names[:EXAMPLES])}{' …' * (len(names) > EXAMPLES)}. {do}.",
        )
        for code, what, do, names in kinds if names
    ]  # fmt: skip


class _NameTwiceError(ValueError):
    """Raised inside the JSON parser."""


def _parse(raw: bytes) -> Any:
    if raw.count(b"{") + raw.count(b"[") > MAX_BRACKETS:
        raise InputError.single("index_too_complex", f"The index holds more than a map. {WRITE_AGAIN}", field="file")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except _NameTwiceError as twice:
        message = f"The index names {twice} twice, so which one counts is open. {WRITE_AGAIN}"
        raise InputError.single("duplicate_name", message, field="file") from None
    except (ValueError, RecursionError):  # UnicodeDecodeError among them
        raise InputError.single("index_not_json", f"The index is not valid JSON. {WRITE_AGAIN}", field="file") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _NameTwiceError(ascii(name[:80]))
        found[name] = value
    return found


def _check_index(content: Any) -> dict[str, str]:
    if not isinstance(content, dict) or not content.keys() <= {"metadata", "weight_map"}:
        message = f'An index holds "weight_map" and at most "metadata" besides. {WRITE_AGAIN}'
        raise InputError.single("index_keys", message, field="file")
    problems = _metadata_problems(content.get("metadata", {}))
    index = content.get("weight_map")
    if not isinstance(index, dict) or not index:
        message = f'"weight_map" of the index must map tensor names to file names. {WRITE_AGAIN}'
        raise InputError([*problems, Problem(code="index_keys", message=message, field="file")])
    if len(index) > MAX_TENSORS:
        message = f"The index lists {len(index):,} tensors; at most {MAX_TENSORS:,} are allowed."
        raise InputError([*problems, Problem(code="too_many_tensors", message=message, field="file")])
    bad_tensors = [ascii(name[:80]) for name in index if "\n" in name or not NAMES.fullmatch(name)]
    shards = list(dict.fromkeys(ascii(shard)[:80] for shard in index.values() if not _is_shard_name(shard)))
    problems += _listed(
        ("bad_name", "tensor names of the index hold more than letters, digits, '_' and '.'", WRITE_AGAIN[:-1],
         bad_tensors),
        ("bad_shard_name", "file names of the index are not plain names that end in .safetensors",
         "Keep all shards in the folder of the index", shards),
    )  # fmt: skip
    n_shards = len({shard for shard in index.values() if isinstance(shard, str)})
    if n_shards >= MAX_FILES:
        message = f"The index names {n_shards:,} shards; at most {MAX_FILES - 1} are allowed. Save with larger shards."
        problems.append(Problem(code="too_many_files", message=message, field="file"))
    if problems:
        raise InputError(problems)
    return index


def _is_shard_name(name: object) -> bool:
    return (
        isinstance(name, str) and name.endswith(SHARD_SUFFIX) and ".." not in name
        and FLAT_NAME.fullmatch(name) is not None
    )  # fmt: skip


def _metadata_problems(metadata: Any) -> list[Problem]:
    if isinstance(metadata, dict) and len(metadata) <= MAX_METADATA:
        if all(value is None or isinstance(value, str | int | float) for value in metadata.values()):
            return []
    message = f'"metadata" of the index may hold at most {MAX_METADATA} texts and numbers. {WRITE_AGAIN}'
    return [Problem(code="bad_metadata", message=message, field="file")]
