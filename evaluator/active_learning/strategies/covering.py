"""ProbCover (Yehuda et al. 2022): the points whose balls of one radius cover most of the pool. In: pool; out: ids."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluator.active_learning.kmeans import kmeans
from evaluator.active_learning.pool import Pool, once_per_pool, pool_generator
from evaluator.active_learning.state import State
from evaluator.active_learning.strategies.choosing import shuffled

PURITY = 0.95
BISECTIONS = 6
CHUNK = 1_024  # points compared with all others at a time
WORD = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Cover:
    """radius: of the balls, on unit features; within: (n, ⌈n/64⌉) uint64, bit j of row i tells whether j lies within
    the radius of i, i itself included. n²/8 bytes: 37 MB for 17,315 images."""

    radius: float
    within: NDArray[np.uint64]


def probcover(state: State) -> Tensor:
    """`most_covering`, given the state's labels."""
    return most_covering(state.pool, state.labelled, state.count, generator=state.generator)


def most_covering(pool: Pool, labelled: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
    """(count,) unlabelled ids: again and again the point with most points in its ball that no labelled or taken point
    has in its own; of equals the first.

    The published code repeats id 0 once everything is covered; here a uniform draw from the unlabelled goes on.
    """
    within = cover(pool).within
    open_bits = _bits(np.ones((1, len(pool)), dtype=bool))[0]
    for row in labelled.tolist():
        open_bits &= ~within[row]
    taken: list[int] = []
    while len(taken) < count:
        gains = np.bitwise_count(within & open_bits).sum(axis=1, dtype=np.int64)
        best = int(gains.argmax())
        if gains[best] == 0:
            break
        taken.append(best)
        open_bits &= ~within[best]
    used = torch.cat([labelled.cpu(), torch.tensor(taken, dtype=torch.int64)])
    rest = torch.arange(len(pool))
    rest = shuffled(rest[~torch.isin(rest, used)], generator)[: count - len(taken)]
    return torch.cat([used[len(labelled) :], rest]).to(pool.features.device)


@once_per_pool
def cover(pool: Pool) -> Cover:
    """The balls of the radius that bisection finds: in [0, 1], from 0.5, six steps, up where the share of points whose
    ball holds points of their own cluster only (k-means into as many clusters as there are classes) is at least 0.95.

    The published code keeps the balls of the radius tried last and reports another; here it is the largest radius tried
    that is pure enough (the smallest one tried where none is), and the balls are those of this radius. Clusters are
    the same for every run and seed.
    """
    k = min(pool.n_classes, len(pool))
    clusters = kmeans(pool.directions, k, generator=pool_generator()).assignment
    radius = pure_radius(_distance_to_strangers(pool.directions, clusters))
    rows = [_bits((part <= radius**2).cpu().numpy()) for part in _squared_distances(pool.directions)]
    return Cover(radius=radius, within=np.concatenate(rows))


def pure_radius(strangers: Tensor) -> float:
    """By bisection; strangers: (n,) distance of each point to the nearest one of another cluster, inf if none."""
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if (strangers > middle).double().mean() >= PURITY:
            low = middle
        else:
            high = middle
    return low or high


def _distance_to_strangers(directions: Tensor, clusters: Tensor) -> Tensor:
    found = []
    for part, own in zip(_squared_distances(directions), clusters.split(CHUNK), strict=True):
        found.append(part.masked_fill_(own[:, None] == clusters, torch.inf).amin(dim=1).sqrt())
    return torch.cat(found)


def _squared_distances(points: Tensor) -> Iterator[Tensor]:
    """(≤ CHUNK, n) of each chunk of points to all; to itself exactly 0."""
    squares = points.square().sum(dim=1)
    for first in range(0, len(points), CHUNK):
        part = points[first : first + CHUNK]
        distances = torch.addmm(squares, part, points.T, alpha=-2) + squares[first : first + CHUNK, None]
        distances.clamp_(min=0).diagonal(offset=first).zero_()
        yield distances


def _bits(rows: NDArray[np.bool_]) -> NDArray[np.uint64]:
    padding = -rows.shape[1] % WORD
    packed = np.packbits(np.pad(rows, ((0, 0), (0, padding))), axis=1)
    return packed.view(np.uint64)
