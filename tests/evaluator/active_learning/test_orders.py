"""Label orders and budgets: the same for every encoder, whatever the order of its rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.active_learning.studies.orders import PER_CLASS, budgets_for, label_orders

IDS = [f"image-{number}" for number in range(40)]


@settings(max_examples=30, deadline=None)
@given(st.permutations(IDS))
def test_an_order_is_of_ids_and_not_of_rows(shuffled: list[str]) -> None:
    expected = [[IDS[row] for row in order] for order in label_orders(IDS, (0, 7), "release:cells")]
    assert [[shuffled[row] for row in order] for order in label_orders(shuffled, (0, 7), "release:cells")] == expected


def test_every_order_is_of_all_images_and_each_seed_and_salt_has_its_own() -> None:
    orders = label_orders(IDS, range(5), "a")
    assert (np.sort(orders, axis=1) == np.arange(len(IDS))).all()
    assert len({tuple(order) for order in [*orders.tolist(), *label_orders(IDS, range(5), "b").tolist()]}) == 10


def test_an_image_more_moves_no_other() -> None:
    """Orders of a corrected pool are comparable with those of the old one."""
    before = [IDS[row] for row in label_orders(IDS[:-1], (3,), "a")[0]]
    after = [IDS[row] for row in label_orders(IDS, (3,), "a")[0]]
    assert [name for name in after if name != IDS[-1]] == before


def test_the_first_label_falls_on_every_image_alike() -> None:
    first = label_orders(IDS, range(4_000), "a")[:, 0]
    counts = np.bincount(first, minlength=len(IDS))
    chi_square = ((counts - 100) ** 2 / 100).sum()
    assert chi_square < 72  # 39 degrees of freedom: p = .001


def test_an_id_that_stands_twice_is_a_bug() -> None:
    with pytest.raises(ValueError, match="twice"):
        label_orders(["a", "b", "a"], (0,), "x")


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 20_000), st.integers(2, 60))
def test_budgets_are_those_that_half_the_pool_holds(n_pool: int, n_classes: int) -> None:
    found = budgets_for(n_pool, n_classes)
    assert found.per_class == tuple(b for b in (1, 2, 4, 8, 16, 32) if 2 * b * n_classes <= n_pool)
    assert found.labels == tuple(b * n_classes for b in found.per_class)
    assert found.cut == (64 * n_classes > n_pool)
    assert found.ranked == (8 * n_classes <= n_pool) == (found.reason is None)


def test_a_pool_that_is_too_small_is_told_how_many_it_needs() -> None:
    assert budgets_for(63, 8).reason == (
        "Too few images may be labelled: 63 of 8 classes, and 64 are needed for a rank (1, 2 and 4 labels per class "
        "within half of them)."
    )
    assert budgets_for(10**6, 3).per_class == PER_CLASS
    assert budgets_for(15, 8).labels == ()
