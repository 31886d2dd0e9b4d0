"""The long form of the coverage simulation of learning curves: 1,000 samples per setting."""

import pytest

from tests.builders.efficiency_coverage import SETTINGS, Setting, coverage

RUNS = 1_000


@pytest.mark.faults
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_95_percent_interval_holds_the_truth_as_often_as_promised(setting: Setting) -> None:
    found = coverage(setting, RUNS, seed=30_000)
    print(f"{setting}: {found:.3f}")
    assert 0.93 <= found <= 0.98
