"""The long form of the paired coverage simulation: 2,000 samples per setting."""

import pytest

from tests.builders.paired_coverage import Setting, coverage, hard_settings, unclustered_coverage

RUNS = 2_000


@pytest.mark.faults
@pytest.mark.parametrize("setting", list(hard_settings()), ids=str)
def test_a_paired_interval_holds_the_true_difference_in_93_of_100_samples(setting: Setting) -> None:
    assert coverage(setting, RUNS, seed=30_000) >= 0.93
    assert unclustered_coverage(setting, RUNS, seed=30_000) < 0.93
