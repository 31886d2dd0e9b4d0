"""Labels for the whole pool from those of a few (Zhou et al. 2004; Iscen et al. 2019). In: Pool, labels; out: a class
and a weight for every image. Off by default; the paper finds that it helps little.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from evaluator.active_learning.pool import Pool, once_per_pool

CHUNK = 1_024  # images compared with all others at a time
STILL = 1e-12  # a change below which further iterations change nothing that is read


@dataclass(frozen=True, kw_only=True, eq=False)
class Propagated:
    """labels: (n,) int64, those given kept; weights: (n,) float32 in [0, 1]: 1 − H/log C of what arrived, so 1 where a
    label was given and 0 where nothing arrived or all classes equally."""

    labels: Tensor
    weights: Tensor


def propagate(
    pool: Pool, labelled: Tensor, labels: Tensor, *, neighbours: int = 500, gamma: float = 1.0, alpha: float = 0.9,
    iterations: int = 100,
) -> Propagated:  # fmt: skip
    """F ← (1 − α) S F + α Y from F = Y, Y one-hot at the labelled; then the labelled are set to one-hot.

    S = D^-½ (A + Aᵀ) D^-½ with A_ij = ((1 + cos)/2)^γ at the nearest `neighbours` of i and, as published, D the NUMBER
    of neighbours and not the sum of their weights. Fewer neighbours where the pool is smaller.
    """
    seeds = np.zeros((len(pool), pool.n_classes))
    rows, classes = labelled.cpu().numpy(), labels.cpu().numpy()
    seeds[rows, classes] = 1
    graph = _graph(pool, min(neighbours, len(pool) - 1), gamma)
    spread = seeds
    for _ in range(iterations):
        following = (1 - alpha) * (graph @ spread) + alpha * seeds
        still = np.abs(following - spread).max() < STILL
        spread = following
        if still:
            break
    spread[rows] = seeds[rows]
    device = pool.features.device
    return Propagated(labels=torch.from_numpy(spread.argmax(axis=1)).to(device),
                      weights=torch.from_numpy(_certainty(spread)).to(device))  # fmt: skip


def _certainty(spread: NDArray[np.float64]) -> NDArray[np.float32]:
    sums = spread.sum(axis=1, keepdims=True)
    n_classes = spread.shape[1]
    if n_classes == 1:
        return (sums[:, 0] > 0).astype(np.float32)
    share = np.divide(spread, sums, out=np.full_like(spread, 1 / n_classes), where=sums > 0)
    entropy = -np.sum(share * np.log(share, out=np.zeros_like(share), where=share > 0), axis=1)
    return np.clip(1 - entropy / np.log(n_classes), 0, 1).astype(np.float32)


@once_per_pool
def _graph(pool: Pool, neighbours: int, gamma: float) -> sparse.csr_array:
    """S of `propagate`."""
    n = len(pool)
    nearest, cosines = _nearest(pool.directions, neighbours)
    weights = np.clip((1 + cosines) / 2, 0, 1) ** gamma
    one_way = sparse.csr_array((weights.ravel(), nearest.ravel(), np.arange(n + 1) * neighbours), shape=(n, n))
    both = sparse.csr_array(one_way + one_way.T)
    degree = np.diff(both.indptr)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros(n), where=degree > 0)
    both.data *= np.repeat(scale, degree) * scale[both.indices]
    return both


def _nearest(directions: Tensor, neighbours: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """(n, neighbours) ids and cosines of the most similar others."""
    ids, cosines = [], []
    for first in range(0, len(directions), CHUNK):
        similar = directions[first : first + CHUNK] @ directions.T
        similar.diagonal(offset=first).fill_(-torch.inf)
        best = similar.topk(neighbours, dim=1)
        ids.append(best.indices.to(torch.int32).cpu().numpy())
        cosines.append(best.values.cpu().numpy())
    return np.concatenate(ids), np.concatenate(cosines)
