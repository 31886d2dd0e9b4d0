"""Simulated coverage. In: an accuracy, a number of sources, a correlation within sources; out: how often 95 % holds."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evaluator.statistics.wilson import clustered_wilson

ACCURACIES = (0.5, 0.7, 0.9, 0.98)
SOURCES = (10, 20, 40, 60)
CORRELATIONS = (0.0, 0.1, 0.2, 0.5)
MOST_QUESTIONS = 11  # per source; the fewest is 1


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting: true accuracy, sources in a sample, intra-source correlation of right answers."""

    accuracy: float
    n_sources: int
    correlation: float

    @property
    def least_coverage(self) -> float:
        """What a 95 % interval of this few, this correlated answers has to reach."""
        return 0.90 if self.correlation <= 0.2 else 0.83


def cells() -> Iterator[Cell]:
    """Every setting."""
    for accuracy, n_sources, correlation in itertools.product(ACCURACIES, SOURCES, CORRELATIONS):
        yield Cell(accuracy=accuracy, n_sources=n_sources, correlation=correlation)


def coverage(cell: Cell, runs: int, seed: int) -> float:
    """The share of `runs` samples whose clustered Wilson interval holds the true accuracy (beta-binomial sources)."""
    rng = np.random.default_rng(seed)
    shape = (runs, cell.n_sources)
    own = np.full(shape, cell.accuracy)
    if cell.correlation:
        size = 1 / cell.correlation - 1
        own = rng.beta(cell.accuracy * size, (1 - cell.accuracy) * size, shape)
    count = rng.integers(1, MOST_QUESTIONS + 1, shape)
    correct = rng.binomial(count, own)
    return float(np.mean([_holds(cell.accuracy, right, asked) for right, asked in zip(correct, count, strict=True)]))


def _holds(accuracy: float, correct: np.ndarray, count: np.ndarray) -> bool:
    found = clustered_wilson(correct[:, None].astype(float), count[:, None].astype(float))
    assert found.low is not None and found.high is not None
    return found.low <= accuracy <= found.high
