"""What is trained on the labels held, for all seeds at once. In: ids held, the oracle; out: heads."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from evaluator.active_learning.generators import generator_of
from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.heads.paper import fit_paper
from evaluator.active_learning.heads.standard import fit_standard, standard_of
from evaluator.active_learning.names import HeadKind
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.propagation import propagate
from evaluator.errors import InputError

Fit = Callable[[Tensor, int], list[LinearHead]]  # ids held (S, m), number of the round → one head per seed


def fit_of(head: HeadKind, pool: Pool, labels: Tensor, seeds: Sequence[int], *, propagates: bool = False) -> Fit:
    """labels: (n,) the oracle, read for ids held alone; propagates: train on the whole pool, each image with the label
    that reaches it from those held and a weight of how surely.

    Raises InputError `not_together` for propagated labels and the standard head, which knows no weights.
    """
    if not propagates:
        return FITS[head](pool, labels, seeds)
    if head is not HeadKind.PAPER:
        message = "Propagated labels have weights, which the standard head does not know. Use the paper's head."
        raise InputError.single("not_together", message)
    return _propagated(pool, labels, seeds)


def _paper(pool: Pool, labels: Tensor, seeds: Sequence[int]) -> Fit:
    def fit(held: Tensor, number: int) -> list[LinearHead]:
        return fit_paper(
            list(pool.features[held]), list(labels[held]), pool.n_classes,
            generators=_generators(pool, seeds, number),
        )  # fmt: skip

    return fit


def _propagated(pool: Pool, labels: Tensor, seeds: Sequence[int]) -> Fit:
    def fit(held: Tensor, number: int) -> list[LinearHead]:
        spread = [propagate(pool, own, labels[own]) for own in held]
        return fit_paper(
            [pool.features] * len(seeds), [found.labels for found in spread], pool.n_classes,
            generators=_generators(pool, seeds, number), weights=[found.weights for found in spread],
        )  # fmt: skip

    return fit


def _generators(pool: Pool, seeds: Sequence[int], number: int) -> list[torch.Generator]:
    return [generator_of(seed, "head", str(number), device=pool.features.device) for seed in seeds]


def _standard(pool: Pool, labels: Tensor, seeds: Sequence[int]) -> Fit:
    standard = standard_of(pool.features)

    def fit(held: Tensor, number: int) -> list[LinearHead]:
        return fit_standard(list(pool.features[held]), list(labels[held]), pool.n_classes, standard=standard)

    return fit


FITS = {HeadKind.PAPER: _paper, HeadKind.STANDARD: _standard}
