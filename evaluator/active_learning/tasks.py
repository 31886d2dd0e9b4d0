"""What a process that trains heads is asked, and what it answers. In/out: folders of arrays. Torch-free.

No right answer of the evaluated images is in a task: predictions come back and are marked by who holds the key.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.names import HeadKind, Start, Strategy


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Frozen embeddings of one dataset: the pool with its labels (the oracle), and the images that are predicted."""

    pool: NDArray[np.float32]  # (n, d)
    labels: NDArray[np.int64]  # (n,), 0 … n_classes − 1
    evaluated: NDArray[np.float32]  # (m, d)
    n_classes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveTask:
    """Label efficiency of an encoder on one dataset: the standard head at nested budgets, by common orders and by its
    own choice (centroid start, then DropQuery asked by the paper's head), and on the whole pool."""

    data: Data
    budgets: tuple[int, ...]  # labels held, ascending
    orders: NDArray[np.int64]  # (S, ≥ last budget) rows of the pool in the order in which they are labelled, per seed
    seeds: tuple[int, ...]  # (S,) of the own choice


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveResult:
    """Probabilities float32 of the evaluated images; own_ids: rows of the pool in the order of choice."""

    same: NDArray[np.float32]  # (S, K, m, C)
    own: NDArray[np.float32]  # (S, K, m, C)
    own_ids: NDArray[np.int64]  # (S, last budget)
    ceiling: NDArray[np.float32]  # (m, C)


@dataclass(frozen=True, kw_only=True, eq=False)
class StrategyTask:
    """One strategy from one start: `rounds` sets of `per_round` labels, the start being the first."""

    data: Data
    strategy: Strategy
    start: Start
    head: HeadKind
    rounds: int
    per_round: int
    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class StrategyResult:
    """ids: rows of the pool; probabilities of the evaluated images after each round; seconds of training and choice."""

    ids: NDArray[np.int64]  # (S, R, B)
    probabilities: NDArray[np.float32]  # (S, R, m, C)
    seconds: NDArray[np.float64]  # (S, R)


Task = CurveTask | StrategyTask
Result = CurveResult | StrategyResult
