"""The long form of the coverage simulation: 2,000 samples per setting."""

import pytest

from tests.builders.coverage import Cell, cells, coverage

RUNS = 2_000


@pytest.mark.faults
@pytest.mark.parametrize("cell", list(cells()), ids=str)
def test_a_95_percent_interval_holds_the_truth_as_often_as_promised(cell: Cell) -> None:
    assert coverage(cell, RUNS, seed=20_000) >= cell.least_coverage
