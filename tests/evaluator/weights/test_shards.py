"""Sets of shards: the good one, and every way an index and its shards can disagree, all told at once."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from evaluator.errors import InputError
from evaluator.weights.checkpoint import open_checkpoint, open_files, read_checkpoint
from evaluator.weights.shards import MAX_INDEX_BYTES
from tests.builders.weights import entry, safetensors_bytes

A, B, INDEX = "m-1.safetensors", "m-2.safetensors", "m.safetensors.index.json"
GOOD: dict[str, Any] = {"metadata": {"total_size": 24}, "weight_map": {"a": A, "b": A, "c": B}}
SHARDS = {
    A: safetensors_bytes({"a": entry([2]), "b": entry([2], 8)}, bytes(16)),
    B: safetensors_bytes({"c": entry([2])}, bytes(8)),
}


def write(folder: Path, index: Any = GOOD, **more: bytes) -> dict[str, Path]:
    text = index if isinstance(index, bytes) else json.dumps(index).encode()
    paths = {}
    for name, content in (SHARDS | {INDEX: text} | more).items():
        paths[name] = folder / name
        paths[name].write_bytes(content)
    return paths


def codes(paths: dict[str, Path], **limits: int) -> set[str]:
    with open_files(paths) as files, pytest.raises(InputError) as refused:
        read_checkpoint(files, **limits)
    return set(refused.value.counts)


def test_a_good_set_is_one_checkpoint(tmp_path: Path) -> None:
    paths = write(tmp_path)
    with open_checkpoint(paths[INDEX]) as found:
        assert found.shapes == {"a": (2,), "b": (2,), "c": (2,)}
        assert found.file_bytes == sum(path.stat().st_size for path in paths.values())
        lines = [f"{name} {hashlib.sha256(paths[name].read_bytes()).hexdigest()}\n" for name in sorted(paths)]
        assert found.sha256() == hashlib.sha256("".join(lines).encode()).hexdigest()
    with open_checkpoint(paths[A]) as found:  # a single file's own hash stays as it is
        assert found.sha256() == hashlib.sha256(SHARDS[A]).hexdigest()


def mapped(**changes: Any) -> dict[str, Any]:
    return {"weight_map": {name: shard for name, shard in (GOOD["weight_map"] | changes).items() if shard is not None}}


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (mapped(d="m-3.safetensors"), {"missing_shard"}),
        (mapped(c=None), {"unnamed_shard", "tensor_not_in_index"}),
        (mapped(c=A), {"unnamed_shard", "tensor_not_in_shard"}),
        (mapped(b=B), {"tensor_not_in_shard"}),
        (mapped(d=A), {"tensor_not_in_shard"}),
        (mapped(a=None), {"tensor_not_in_index"}),
        (mapped(a="../" + A), {"bad_shard_name"}),
        (mapped(a="/etc/passwd"), {"bad_shard_name"}),
        (mapped(a="x/" + A), {"bad_shard_name"}),
        (mapped(a="a..b.safetensors"), {"bad_shard_name"}),
        (mapped(a="m-1.bin"), {"bad_shard_name"}),
        (mapped(a=7), {"bad_shard_name"}),
        (mapped(a={}), {"bad_shard_name"}),
        (mapped(**{"<b>": A}), {"bad_name"}),
        (mapped(**{"<b>": "../x"}), {"bad_name", "bad_shard_name"}),
        (mapped(**{f"t{n}": f"s{n}.safetensors" for n in range(64)}), {"too_many_files"}),
        ({"weight_map": {f"t{n}": A for n in range(20_001)}}, {"too_many_tensors"}),
        ({"weight_map": {}}, {"index_keys"}),
        ({"weight_map": [A]}, {"index_keys"}),
        ({"metadata": {}}, {"index_keys"}),
        (GOOD | {"more": 1}, {"index_keys"}),
        (GOOD | {"metadata": {"a": []}}, {"bad_metadata"}),
        (GOOD | {"metadata": []}, {"bad_metadata"}),
        ([], {"index_keys"}),
        (b"", {"index_not_json"}),
        (b"\xff", {"index_not_json"}),
        (b'{"weight_map": {"a": "x"', {"index_not_json"}),
        (b"9" * 5_000, {"index_not_json"}),
        (b'{"weight_map": {"a": "m-1.safetensors", "a": "m-2.safetensors"}}', {"duplicate_name"}),
        (b"[" * 100_000, {"index_too_complex"}),
        (b" " * (MAX_INDEX_BYTES + 1), {"index_too_large"}),
    ],
)  # fmt: skip
def test_bad_indexes(index: Any, expected: set[str], tmp_path: Path) -> None:
    assert codes(write(tmp_path, index)) == expected


def test_bad_sets(tmp_path: Path) -> None:
    paths = write(tmp_path)
    assert codes({name: paths[name] for name in (A, B)}) == {"index_missing"}
    assert codes({INDEX: paths[INDEX]}) == {"missing_shard"}
    assert codes(paths | {"config.json": paths[INDEX]}) == {"file_kind"}
    assert codes(paths | {"n" + INDEX: paths[INDEX]}) == {"two_indexes"}
    assert codes({f"{n}.safetensors": paths[A] for n in range(65)}) == {"too_many_files", "index_missing"}
    assert codes(paths, max_bytes=sum(path.stat().st_size for path in paths.values()) - 1) == {"file_too_large"}


def test_a_tensor_twice_and_a_broken_shard_come_together(tmp_path: Path) -> None:
    twice = safetensors_bytes({"a": entry([2])}, bytes(8))
    paths = write(tmp_path, mapped(d="m-3.safetensors"), **{B: twice, "m-3.safetensors": b"PK\x03\x04" + bytes(9)})
    assert codes(paths) == {"tensor_twice", "tensor_not_in_shard", "zip_archive"}
