"""Sources are dealt over splits: none straddles, the shares are kept, the order of rows plays no part."""

import random
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.release.importing.splitting import assign_splits
from evaluator.release.schema import Split

THREE = {Split.DEV: 0.3, Split.TEST: 0.4, Split.SEALED: 0.3}
FRACTIONS = st.sampled_from([
    THREE, {Split.DEV: 0.5, Split.TEST: 0.5}, {Split.TEST: 0.7, Split.SEALED: 0.3}, {Split.DEV: 1.0},
    {Split.DEV: 0.05, Split.TEST: 0.9, Split.SEALED: 0.05},
])  # fmt: skip
ITEMS = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 25).map(str), st.sampled_from(["x", "y", None])),
    min_size=1,
    max_size=80,
)


def deal(items, fractions, seed=0):
    datasets, sources, labels = zip(*items, strict=True)
    return assign_splits(datasets, sources, labels, fractions, seed)


@given(ITEMS, FRACTIONS, st.integers(0, 3))
def test_no_source_straddles_splits_even_across_datasets(items, fractions, seed):
    assigned, _ = deal(items, fractions, seed)
    splits_of = defaultdict(set)
    for (_, source, _), split in zip(items, assigned, strict=True):
        splits_of[source].add(split)
    assert all(len(splits) == 1 for splits in splits_of.values())
    assert set(assigned) <= set(fractions)


@given(ITEMS, FRACTIONS, st.randoms(use_true_random=False))
def test_order_of_rows_plays_no_part(items, fractions, rng: random.Random):
    shuffled = items.copy()
    rng.shuffle(shuffled)
    by_source = {source: split for (_, source, _), split in zip(items, deal(items, fractions)[0], strict=True)}
    assert deal(shuffled, fractions)[0] == [by_source[source] for _, source, _ in shuffled]


@given(ITEMS, FRACTIONS)
def test_every_dataset_reaches_every_split_or_a_warning_says_so(items, fractions):
    assigned, warnings = deal(items, fractions)
    reached = defaultdict(set)
    for (dataset, _, _), split in zip(items, assigned, strict=True):
        reached[dataset].add(split)
    incomplete = {dataset for dataset, splits in reached.items() if splits != set(fractions)}
    assert {warning.split()[0] for warning in warnings} == incomplete


@given(st.integers(3, 40), FRACTIONS)
def test_a_dataset_with_enough_sources_of_its_own_is_never_missing_from_a_split(n, fractions):
    assigned, warnings = deal([("A", str(i), "rare" if i == 0 else "common") for i in range(n)], fractions)
    assert set(assigned) == set(fractions) and not warnings


@settings(max_examples=30)
@given(st.integers(0, 100))
def test_each_label_is_shared_out_by_the_fractions(seed):
    items = [("A", f"s{i}", "xyz"[i % 3]) for i in range(120)]
    counts = Counter((label, split) for (_, _, label), split in zip(items, deal(items, THREE, seed)[0], strict=True))
    for label in "xyz":
        for split, fraction in THREE.items():
            assert counts[label, split] == pytest.approx(40 * fraction, abs=1)


def test_the_seed_changes_the_deal():
    items = [("A", f"s{i}", "x") for i in range(40)]
    assert deal(items, THREE, 0) != deal(items, THREE, 1)
    assert deal(items, THREE, 7) == deal(items, THREE, 7)
