"""The header validator: what it accepts, what it refuses with which code, and that it never crashes or unpickles."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.errors import InputError
from evaluator.weights.header import read_header, read_open_header
from evaluator.weights.sniff import FileKind, sniff
from tests.builders.weights import entry, safetensors_bytes
from tests.evaluator.weights.hostile import HOSTILE, Hostile


def codes_of(error: InputError) -> set[str]:
    return {problem.code for problem in error.problems}


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_hostile_file_is_refused_with_its_code_and_a_sentence(hostile: Hostile, tmp_path: Path) -> None:
    path, canary = tmp_path / "model.safetensors", tmp_path / "canary"
    hostile.write(path, canary)
    with pytest.raises(InputError) as refused:
        read_header(path)
    assert hostile.code in codes_of(refused.value)
    for problem in refused.value.problems:
        assert problem.message.isprintable() and problem.message.endswith((".", "…"))
        assert "<script>" not in problem.message.replace("'<script>", "")
    assert not canary.exists()


def test_hostile_corpus_is_large_and_its_names_are_distinct() -> None:
    assert len(HOSTILE) >= 60
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE)


def test_valid_file_gives_its_tensors_in_file_order(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = {
        "__metadata__": {"format": "pt", "note": '{"lr": 1e-4}'},
        "b": entry([2, 3], 4),
        "a": entry([]),
        "text.position_ids": entry([1, 2], 28, 44, "I64"),
        "half": entry([2], 44, 48, "BF16"),
    }
    path.write_bytes(safetensors_bytes(header, bytes(48)))
    found = read_header(path)
    assert list(found.tensors) == ["a", "b", "text.position_ids", "half"]
    assert found.shapes["b"] == (2, 3)
    assert found.tensors["a"] == ("F32", (), 0, 4)
    assert found.file_bytes == path.stat().st_size
    assert sniff(path) is FileKind.SAFETENSORS


def test_header_whose_length_looks_like_a_pickle_is_accepted(tmp_path: Path) -> None:
    """A header of 0x0280 bytes makes the file begin with the bytes of a pickle of protocol 2."""
    path = tmp_path / "model.safetensors"
    text = json.dumps({"a": entry([1])}).ljust(0x0280)
    path.write_bytes(safetensors_bytes(text, bytes(4)))
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert list(read_header(path).tensors) == ["a"]


def test_every_problem_of_the_entries_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = {
        "__metadata__": {"a": 1}, "bad name": entry([1]), "b": entry([1], dtype="F64"), "c": entry([0]), "d": None,
        **{f"e {i}": entry([1]) for i in range(9)},
    }  # fmt: skip
    path.write_bytes(safetensors_bytes(header, bytes(4)))
    with pytest.raises(InputError) as refused:
        read_header(path)
    assert codes_of(refused.value) == {"bad_metadata", "bad_name", "dtype_not_allowed", "bad_shape", "bad_entry"}
    names = next(problem.message for problem in refused.value.problems if problem.code == "bad_name")
    assert "10 wrong" in names and names.endswith("….")


def test_file_over_a_given_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes({"a": entry([64])}, bytes(256)))
    with pytest.raises(InputError) as refused:
        read_header(path, max_file_bytes=256)
    assert codes_of(refused.value) == {"file_too_large"}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["a", "b.weight", "c_1", "x.position_ids", "__metadata__", "bad name", ""])
ENTRIES = st.fixed_dictionaries({
    "dtype": st.sampled_from(["F32", "F16", "BF16", "I64", "F64", "F4", "U8"]) | JSON_VALUES,
    "shape": st.lists(st.integers(-1, 4), max_size=8) | JSON_VALUES,
    "data_offsets": st.lists(st.integers(-4, 64), min_size=1, max_size=3) | JSON_VALUES,
}, optional={"extra": JSON_VALUES})  # fmt: skip


def _check_agreement(content: bytes) -> None:
    """Ours may refuse what the library reads (it is stricter), never the other way round."""
    try:
        read_open_header(io.BytesIO(content))
    except InputError:
        return
    assert _library_reads_names(content)


def _library_reads_names(content: bytes) -> bool:
    from safetensors import SafetensorError, deserialize

    try:
        return bool(deserialize(content))
    except SafetensorError:
        return False


@settings(max_examples=1500, deadline=None)
@given(st.dictionaries(NAMES, ENTRIES | JSON_VALUES, max_size=4), st.integers(0, 80), st.integers(-2, 2))
def test_made_up_header_never_crashes_and_is_not_accepted_beyond_the_library(
    header: dict[str, object], data_bytes: int, off: int
) -> None:
    raw = json.dumps(header).encode()
    _check_agreement(safetensors_bytes(raw, bytes(data_bytes), header_bytes=max(0, len(raw) + off)))


VALID = safetensors_bytes({"__metadata__": {"k": "v"}, "a.w": entry([2, 2]), "b": entry([3], 16, 22, "F16")}, bytes(22))


@settings(max_examples=2500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=4),
       st.integers(0, 3), st.binary(max_size=3))  # fmt: skip
def test_mutated_file_never_crashes_and_is_not_accepted_beyond_the_library(
    changes: list[tuple[int, int]], cut: int, tail: bytes
) -> None:
    content = bytearray(VALID)
    for place, value in changes:
        content[place] = value
    _check_agreement(bytes(content[: len(content) - cut]) + tail)


def test_unchanged_file_is_accepted_by_both() -> None:
    assert read_open_header(io.BytesIO(VALID)).shapes == {"a.w": (2, 2), "b": (3,)}
    assert _library_reads_names(VALID)
