"""In which order images are labelled, and how many. In: ids; out: common orders, budgets. Torch-free."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PER_CLASS = (1, 2, 4, 8, 16, 32)  # labels per class that a curve has a point at; doubling weights a cold start fairly
RANKED_BY = 4  # a dataset is ranked when the budgets up to this one fit


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """per_class, labels: the points of the curve, K each, ascending; cut: not all of PER_CLASS fit; ranked: enough do;
    reason: why not, one sentence."""

    per_class: tuple[int, ...]
    labels: tuple[int, ...]
    cut: bool
    ranked: bool
    reason: str | None


def budgets_for(n_pool: int, n_classes: int) -> Budgets:
    """The budgets b·C of PER_CLASS that half the pool of `n_pool` images holds, so that orders differ to the end."""
    half = n_pool // 2
    per_class = tuple(b for b in PER_CLASS if b * n_classes <= half)
    ranked = RANKED_BY in per_class
    needed = 2 * RANKED_BY * n_classes
    reason = None if ranked else (
        f"Too few images may be labelled: {n_pool} of {n_classes} classes, and {needed} are needed for a rank "
        f"(1, 2 and {RANKED_BY} labels per class within half of them)."
    )  # fmt: skip
    return Budgets(
        per_class=per_class, labels=tuple(b * n_classes for b in per_class), cut=per_class != PER_CLASS, ranked=ranked,
        reason=reason,
    )  # fmt: skip


def label_orders(ids: Sequence[str], seeds: Sequence[int], salt: str) -> NDArray[np.int64]:
    """(S, n) per seed the rows of `ids` in the order in which they are labelled.

    Random by the SHA-256 of salt, seed and id: for one salt (a release and its dataset) the same images in the same
    order for every encoder, whatever the order of rows. Raises ValueError when an id stands twice.
    """
    if len(set(ids)) != len(ids):
        raise ValueError("an id stands twice in the pool")
    orders = np.empty((len(seeds), len(ids)), dtype=np.int64)
    for place, seed in enumerate(seeds):
        digests = [hashlib.sha256(f"{salt}\0{seed}\0{name}".encode()).digest() for name in ids]
        orders[place] = sorted(range(len(ids)), key=digests.__getitem__)
    return orders
