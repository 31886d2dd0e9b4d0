"""What is trained on the labels held, for all seeds at once. In: ids held, the oracle; out: heads."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from evaluator.active_learning.generators import generator_of
from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.heads.paper import fit_paper
from evaluator.active_learning.names import HeadKind
from evaluator.active_learning.pool import Pool

Fit = Callable[[Tensor, int], list[LinearHead]]  # ids held (S, m), number of the round → one head per seed


def fit_of(head: HeadKind, pool: Pool, labels: Tensor, seeds: Sequence[int]) -> Fit:
    """labels: (n,) the oracle, read for ids held alone."""
    return FITS[head](pool, labels, seeds)


def _paper(pool: Pool, labels: Tensor, seeds: Sequence[int]) -> Fit:
    def fit(held: Tensor, number: int) -> list[LinearHead]:
        return fit_paper(
            list(pool.features[held]), list(labels[held]), pool.n_classes,
            generators=_generators(pool, seeds, number),
        )  # fmt: skip

    return fit


def _generators(pool: Pool, seeds: Sequence[int], number: int) -> list[torch.Generator]:
    return [generator_of(seed, "head", str(number), device=pool.features.device) for seed in seeds]


FITS = {HeadKind.PAPER: _paper}
