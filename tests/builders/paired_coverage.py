"""Simulated coverage of paired intervals. In: how often answers change, how alike within sources; out: shares.

A source's questions are lost with one probability, gained with another, which vary from source to source (Dirichlet
with the intra-source correlation); sources are as uneven in size as datasets are. All runs of a setting are one
computation.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from evaluator.statistics.bootstrap import source_weights
from evaluator.statistics.paired import Flips, paired_ends, sign_flips
from evaluator.statistics.wilson import Z95

SOURCES = (30, 60, 200)
REPLICATES = 1_000


class Sizes(StrEnum):
    """Questions per source."""

    EQUAL = "equal"  # 6
    MILD = "mild"  # 1 to 11
    HEAVY = "heavy"  # log-normal: one in forty has more than 19


@dataclass(frozen=True, kw_only=True)
class Setting:
    """discordance: share of answers that change. balance: 0 = as many lost as gained, 1 = all of them lost."""

    n_sources: int
    discordance: float
    balance: float
    correlation: float
    sizes: Sizes

    @property
    def delta(self) -> float:
        """The true difference."""
        return -self.discordance * self.balance


@dataclass(frozen=True, kw_only=True)
class Sample:
    """(runs, G) questions, answers lost and answers gained per source."""

    count: NDArray[np.int64]
    lost: NDArray[np.int64]
    gained: NDArray[np.int64]


def settings() -> Iterator[Setting]:
    """Rare and common changes, one-sided and balanced, independent and clustered, even and uneven sources."""
    for n, discordance, balance, correlation, sizes in itertools.product(
        SOURCES, (0.01, 0.03, 0.1, 0.4), (0.0, 0.5, 1.0), (0.0, 0.2, 0.5), Sizes
    ):
        yield Setting(n_sources=n, discordance=discordance, balance=balance, correlation=correlation, sizes=sizes)


def hard_settings() -> Iterator[Setting]:
    """Those among them in which intervals of other methods hold the truth least often."""
    changes = ((0.01, 1.0), (0.03, 1.0), (0.1, 0.5), (0.4, 0.0))
    for n, (discordance, balance), correlation, sizes in itertools.product(
        SOURCES, changes, (0.2, 0.5), (Sizes.MILD, Sizes.HEAVY)
    ):
        yield Setting(n_sources=n, discordance=discordance, balance=balance, correlation=correlation, sizes=sizes)


def sample(setting: Setting, runs: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    shape = (runs, setting.n_sources)
    count = {
        Sizes.EQUAL: lambda: np.full(shape, 6),
        Sizes.MILD: lambda: rng.integers(1, 12, shape),
        Sizes.HEAVY: lambda: np.minimum(np.ceil(rng.lognormal(1.0, 1.0, shape)), 200).astype(np.int64),
    }[setting.sizes]()
    lost = setting.discordance * (1 + setting.balance) / 2
    chances = np.array([1 - setting.discordance, lost, setting.discordance - lost])
    own = np.broadcast_to(chances, (*shape, 3))
    if setting.correlation:
        drawn = rng.standard_gamma(np.maximum(chances * (1 / setting.correlation - 1), 1e-12), (*shape, 3))
        total = drawn.sum(axis=-1, keepdims=True)
        own = np.where(total > 0, drawn / np.where(total > 0, total, 1.0), chances)
    right_to_wrong = rng.binomial(count, own[..., 1].clip(0, 1))
    left = np.maximum(1 - own[..., 1], 1e-12)
    wrong_to_right = rng.binomial(count - right_to_wrong, (own[..., 2] / left).clip(0, 1))
    return Sample(count=count, lost=right_to_wrong, gained=wrong_to_right)


def flips(changed: NDArray[np.int64], count: NDArray[np.int64]) -> Flips:
    """One direction of every run."""
    n_sources, n = count.shape[1], count.sum(axis=1)
    share = changed.sum(axis=1) / n
    residual = (changed - share[:, None] * count) / n[:, None]
    return Flips(
        share=share, variance=n_sources / (n_sources - 1) * (residual**2).sum(axis=1),
        n_differing=(changed > 0).sum(axis=1),
    )  # fmt: skip


def coverage(setting: Setting, runs: int, seed: int) -> float:
    """The share of runs whose paired interval holds the true difference.

    Runs have other numbers of questions, which the cap of the effective n is applied to in the middle: it binds where
    questions are independent alone.
    """
    drawn = sample(setting, runs, seed)
    change = (drawn.gained - drawn.lost).astype(np.float64)
    stratum = np.zeros(setting.n_sources, dtype=np.int64)
    replicates = np.concatenate([
        (weights @ change.T) / (weights @ drawn.count.T) for weights in source_weights(stratum, seed, REPLICATES)
    ])  # fmt: skip
    low, high = paired_ends(
        replicates.T, flips(drawn.gained, drawn.count), flips(drawn.lost, drawn.count),
        int(np.median(drawn.count.sum(axis=1))), setting.n_sources,
    )  # fmt: skip
    return _share_that_holds(low, high, setting.delta)


def unclustered_coverage(setting: Setting, runs: int, seed: int) -> float:
    """The same of the textbook interval that takes questions for independent ones."""
    drawn = sample(setting, runs, seed)
    n = drawn.count.sum(axis=1)
    delta, changed = (drawn.gained - drawn.lost).sum(axis=1) / n, (drawn.gained + drawn.lost).sum(axis=1) / n
    half = Z95 * np.sqrt(np.maximum(changed - delta**2, 0) / n)
    return _share_that_holds(delta - half, delta + half, setting.delta)


def _share_that_holds(low: NDArray[np.float64], high: NDArray[np.float64], truth: float) -> float:
    return float(((low <= truth + 1e-12) & (truth - 1e-12 <= high)).mean())


def positive_parts(setting: Setting, tasks: int, runs: int, swaps: int, seed: int) -> tuple[NDArray, NDArray]:
    """(runs,) the positive part over `tasks` tasks that did not change, and (runs,) its expectation by swaps."""
    drawn = sample(setting, runs * tasks, seed)
    change = (drawn.gained - drawn.lost) / drawn.count.sum(axis=1, keepdims=True)
    observed = np.maximum(-change.sum(axis=1), 0).reshape(runs, tasks).mean(axis=1)
    swapped = np.concatenate([np.maximum(-(signs @ change.T), 0) for signs in sign_flips(change.shape[1], seed, swaps)])
    return observed, swapped.mean(axis=0).reshape(runs, tasks).mean(axis=1)
