"""Embeddings that a stranger sends: read from memory, never unpickled, never more than was allowed."""

import io
import pickle
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.errors import InputError
from evaluator.suggest.vectors import MAX_MEMBERS, VectorLimits, read_vectors

IDS = [f"plate/{place:02}.tif" for place in range(6)]
VALUES = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
SMALL = VectorLimits(file_bytes=1024**2, unpacked_bytes=64 * 1024, rows=100)


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return file.getvalue()


def zipped(members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array: np.ndarray, **how: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **how)
    return file.getvalue()


def parquet(ids: Any, embeddings: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"id": ids, "embedding": embeddings}), file)
    return file.getvalue()


LISTS = pa.array(VALUES.tolist(), pa.list_(pa.float32()))


@pytest.mark.parametrize("content", [
    npz(id=np.array(IDS), embedding=VALUES),
    npz(compressed=True, embedding=np.asfortranarray(VALUES.astype(np.float64)), id=np.array(IDS), more=np.ones(3)),
    npz(id=np.array([name.encode() for name in IDS]), embedding=VALUES.astype(">f4")),
    npz(dataset=np.array(["plate"] * 6), image_id=np.array([name[6:] for name in IDS]), embedding=VALUES),
    parquet(IDS, LISTS),
    parquet(IDS, pa.array(VALUES.astype(np.float64).tolist(), pa.list_(pa.float64(), 4))),
    parquet(pa.array(IDS, pa.large_string()), pa.array(VALUES.tolist(), pa.large_list(pa.float32()))),
], ids=["npz", "deflate fortran", "bytes big-endian", "of answer", "parquet", "fixed size", "large"])  # fmt: skip
def test_every_form_gives_the_same(content: bytes) -> None:
    found = read_vectors(content, SMALL)
    assert found.ids == IDS and found.features.dtype == np.float32
    np.testing.assert_array_equal(found.features, VALUES)


class Pickled:
    def __reduce__(self) -> Any:
        return pytest.fail, ("it was unpickled",)


ARRAY = npy(VALUES)
LONG = npy(np.zeros((10**4, 4), np.float32))
IDS_NPY = npy(np.array(IDS))


@pytest.mark.parametrize(("content", "code"), [
    (b"", "unknown_format"),
    (pickle.dumps(VALUES), "unknown_format"),
    (b"PK\x03\x04" + bytes(100), "damaged_npz"),
    (npz(id=np.array(IDS), embedding=VALUES)[:-60], "damaged_npz"),
    (npz(embedding=VALUES), "missing_array"),
    (npz(id=np.array(IDS)), "missing_array"),
    (npz(**{f"a{number}": np.ones(1) for number in range(MAX_MEMBERS + 1)}), "too_many_arrays"),
    (npz(id=np.array([Pickled()] * 6, dtype=object), embedding=VALUES), "bad_type"),
    (npz(id=np.array(IDS), embedding=VALUES.astype(complex)), "bad_type"),
    (npz(id=np.array(IDS), embedding=np.array([["x"]] * 6)), "bad_shape"),
    (npz(id=np.array(IDS), embedding=VALUES[0]), "bad_shape"),
    (npz(id=np.array([IDS]), embedding=VALUES), "bad_type"),
    (npz(id=np.array([b"caf\xe9"] * 6), embedding=VALUES), "bad_id"),
    (npz(id=np.array(IDS[:5]), embedding=VALUES), "other_length"),
    (npz(id=np.array([], dtype=str), embedding=VALUES[:0]), "no_rows"),
    (npz(id=np.array(IDS), embedding=VALUES[:, :0]), "too_wide"),
    (npz(id=np.array(["x"]), embedding=np.zeros((1, 9000), np.float32)), "too_wide"),
    (npz(id=np.arange(101), embedding=np.zeros((101, 1))), "too_many_rows"),
    (zipped({"id.npy": IDS_NPY, "embedding.npy": LONG}), "embeddings_too_large"),  # 160 kB in a few hundred bytes
    (zipped({"id.npy": LONG, "embedding.npy": ARRAY}), "embeddings_too_large"),
    (zipped({"id.npy": IDS_NPY, "embedding.npy": ARRAY[:-4]}), "damaged_npz"),
    (zipped({"id.npy": IDS_NPY, "embedding.npy": ARRAY.replace(b"(6, 4), }", b"(6**9,4)}")}), "damaged_npz"),
    (zipped({"id.npy": IDS_NPY, "embedding.npy": ARRAY.replace(b"(6, 4), }", b"(96, 4),}")}), "damaged_npz"),
    (zipped({"id.npy": IDS_NPY, "embedding.npy": ARRAY.replace(b"(6, 4), }", b"(-6,-4),}")}), "damaged_npz"),
    (zipped({"id.npy": IDS_NPY, "embedding.npy": ARRAY}, zipfile.ZIP_LZMA), "damaged_npz"),
    (zipped({"id.npy": IDS_NPY, "embedding.npy": b"\x93NUMPY"}), "damaged_npz"),
    (zipped({"id.npy": IDS_NPY, "embedding.npy": b"not numpy"}), "damaged_npz"),
    (parquet(IDS, LISTS)[:-20], "damaged_parquet"),
    (parquet(IDS, VALUES[:, 0]), "bad_type"),
    (parquet(VALUES[:, 0], LISTS), "bad_type"),
    (parquet(IDS, pa.array([[1.0]] * 5 + [[1.0, 2.0]])), "other_length"),
    (parquet([*IDS[:5], None], LISTS), "empty_value"),
    (parquet(IDS, pa.array([*VALUES.tolist()[:5], None])), "empty_value"),
    (parquet(IDS, pa.array([[1.0, None]] * 6)), "empty_value"),
    (parquet(pa.array([], pa.string()), LISTS[:0]), "no_rows"),
    (parquet([str(number) for number in range(101)], pa.array([[1.0]] * 101)), "too_many_rows"),
])  # fmt: skip
def test_what_cannot_be_taken_has_a_code(content: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        read_vectors(content, SMALL)
    assert caught.value.counts == {code: 1}
    assert len(caught.value.problems[0].message) < 500


def test_every_bad_row_is_named() -> None:
    values = VALUES.astype(np.float64)
    values[1, 2], values[4, 0] = np.nan, 1e39
    names = ["a", "b", "a", "", "new\nline", "x" * 501]
    with pytest.raises(InputError) as caught:
        read_vectors(npz(id=np.array(names), embedding=values), SMALL)
    assert [(problem.row, problem.code) for problem in caught.value.problems] == [
        (2, "not_finite"), (3, "duplicate_id"), (4, "bad_id"), (5, "bad_id"), (5, "not_finite"), (6, "bad_id"),
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_an_input_error_or_still_readable(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from([
        npz(id=np.array(IDS), embedding=VALUES), npz(compressed=True, id=np.array(IDS), embedding=VALUES),
        parquet(IDS, LISTS),
    ])))  # fmt: skip
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_vectors(bytes(content), SMALL)
    except InputError:
        return
    assert len(found.ids) == len(found.features) and np.isfinite(found.features).all()
