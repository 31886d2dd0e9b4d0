"""Importing takes the same memory whatever the size of the source."""

from tests.bench.bench_import import GOAL, measure


def test_a_source_four_times_as_large_needs_the_same_memory(tmp_path):
    small, large = measure(tmp_path, 120)
    assert large <= GOAL * small
