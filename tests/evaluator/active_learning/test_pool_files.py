"""POOL.npz: what is read, and that everything wrong is said at once."""

from pathlib import Path

import numpy as np
import pytest

from evaluator.active_learning.experiments.pools import read_pool
from evaluator.errors import InputError
from tests.builders.mixtures import Mixture, mixture


def small() -> Mixture:
    return mixture(n_pool=60, n_test=30, dim=6, n_classes=3)


def codes_of(path: Path) -> list[tuple[str, str | None]]:
    with pytest.raises(InputError) as caught:
        read_pool(path)
    return [(problem.code, problem.field) for problem in caught.value.problems]


def test_a_pool_is_read_as_it_was_written(tmp_path):
    made = small()
    found = read_pool(made.save(tmp_path / "pool.npz"))
    assert np.array_equal(found.data.pool, made.train_x) and np.array_equal(found.data.labels, made.train_y)
    assert np.array_equal(found.data.evaluated, made.test_x) and np.array_equal(found.right, made.test_y)
    assert found.data.n_classes == 3 and found.data.pool.dtype == np.float32


def test_labels_may_have_gaps_another_type_and_stand_in_a_column(tmp_path):
    made, names = small(), np.array([2, 7, 40], np.uint8)
    path = made.save(tmp_path / "pool.npz", train_y=names[made.train_y][:, None], test_y=names[made.test_y],
                     train_x=made.train_x.astype(np.float64))  # fmt: skip
    found = read_pool(path)
    assert np.array_equal(found.data.labels, made.train_y) and np.array_equal(found.right, made.test_y)
    assert found.data.labels.dtype == np.int64 and found.data.n_classes == 3


def test_every_error_is_said_at_once(tmp_path):
    made = small()
    bad = made.train_x.copy()
    bad[3, 2] = np.nan
    path = made.save(tmp_path / "pool.npz", train_x=bad, train_y=made.train_y[:-1] + 0.5, test_y=None,
                     test_x=made.test_x[:, :4])  # fmt: skip
    assert sorted(codes_of(path), key=str) == sorted([
        ("missing_array", "test_y"), ("not_finite_features", "train_x"), ("labels_not_whole_numbers", "train_y"),
        ("wrong_shape", "train_y"), ("wrong_shape", "test_x"),
    ], key=str)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"train_y": np.zeros(60, np.int64)}, "one_class"),
        ({"test_y": np.full(30, 9)}, "unknown_label"),
        ({"test_y": np.full(30, -1)}, "wrong_label"),
        ({"train_y": np.full(60, 2**64 - 1, np.uint64)}, "wrong_label"),
        ({"train_y": np.zeros((60, 2), np.int64)}, "labels_not_whole_numbers"),
        ({"train_y": np.array(["a"] * 60)}, "labels_not_whole_numbers"),
        ({"train_x": np.zeros((60, 6), complex)}, "features_not_a_table"),
        ({"train_x": np.zeros(60)}, "features_not_a_table"),
        ({"train_x": np.zeros((0, 6)), "train_y": np.zeros(0, np.int64)}, "features_not_a_table"),
        ({"test_x": np.full((30, 6), 1e300)}, "features_too_large"),
        ({"test_x": np.full((30, 6), np.inf)}, "not_finite_features"),
        ({"test_x": np.array(1.0)}, "features_not_a_table"),
        ({"test_y": np.array(1)}, "labels_not_whole_numbers"),
    ],
)
def test_each_wrong_array_is_named(tmp_path, changed, code):
    found = codes_of(small().save(tmp_path / "pool.npz", **changed))
    assert (code, next(iter(changed))) in found


def test_nothing_is_unpickled(tmp_path):
    path = small().save(tmp_path / "pool.npz", train_y=np.array([print] * 60))
    assert codes_of(path) == [("pool_unreadable", None)]


@pytest.mark.parametrize("content", [b"", b"no arrays", b"PK\x03\x04 cut off"])
def test_what_is_no_file_of_arrays_is_said(tmp_path, content):
    (tmp_path / "pool.npz").write_bytes(content)
    assert codes_of(tmp_path / "pool.npz") == [("pool_unreadable", None)]


def test_an_array_without_a_name_and_a_damaged_file_are_said(tmp_path):
    np.save(tmp_path / "pool.npy", np.zeros(3))
    assert codes_of(tmp_path / "pool.npy") == [("pool_unreadable", None)]
    content = bytearray(small().save(tmp_path / "pool.npz").read_bytes())
    content[200:260] = bytes(60)
    (tmp_path / "pool.npz").write_bytes(content)
    assert codes_of(tmp_path / "pool.npz") == [("pool_unreadable", None)]
