"""Features are a finite table of numbers, or refused with what is wrong and where."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from evaluator.active_learning.checks import LARGEST, checked_features
from evaluator.errors import InputError

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=5)


@given(hnp.arrays(np.float64, SHAPES, elements=st.floats(width=32)))
def test_each_row_is_judged(table: NDArray[np.float64]) -> None:
    bad = [i for i, row in enumerate(table) if not all(np.isfinite(x) for x in row)]
    large = [i for i, row in enumerate(table) if any(abs(x) > LARGEST for x in row)]
    if not bad and not large:
        assert checked_features(table).dtype == np.float32 and (checked_features(table) == table.astype("f4")).all()
        return
    with pytest.raises(InputError) as refusal:
        checked_features(table)
    problem, wrong = refusal.value.problems[0], bad or large
    assert problem.code == ("not_finite_features" if bad else "features_too_large")
    assert problem.row == wrong[0] + 1 and problem.message.startswith(f"{len(wrong)} of {len(table)} rows")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, np.uint16])
def test_numbers_of_any_width_become_float32(dtype: type) -> None:
    found = checked_features(np.array([[1, 2], [3, 4]], dtype=dtype).T)
    assert found.dtype == np.float32 and found.flags.c_contiguous and found.tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    "table", [np.zeros(3), np.zeros((2, 0)), np.zeros((0, 2)), np.zeros((2, 2, 2)), np.array([["1"]]),
              np.array([[None]]), np.zeros((2, 2), dtype=complex), np.zeros((2, 2), dtype=bool)],
)  # fmt: skip
def test_what_is_no_table_of_real_numbers_is_refused(table: NDArray) -> None:
    with pytest.raises(InputError) as refusal:
        checked_features(table)
    assert refusal.value.counts == {"features_not_a_table": 1}
