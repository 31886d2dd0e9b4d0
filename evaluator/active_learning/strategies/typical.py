"""TypiClust (Hacohen et al. 2022): the most typical point of each group that has no label yet. In: pool; out: ids."""

import torch
from torch import Tensor

from evaluator.active_learning.kmeans import kmeans
from evaluator.active_learning.pool import Pool, once_per_pool, pool_generator
from evaluator.active_learning.state import State

MOST_CLUSTERS = 500
SMALL = 5  # members; a cluster of no more is not walked while larger ones have points left
NEIGHBOURS = 20
SAME = 1e-6  # squared distances that differ by rounding: two that are each other's nearest are equally typical
CHUNK = 2_048


def typiclust(state: State) -> Tensor:
    """`most_typical`, given the state's labels."""
    return most_typical(state.pool, state.labelled, state.count, generator=state.generator)


def most_typical(pool: Pool, labelled: Tensor, count: int, *, generator: torch.Generator) -> Tensor:
    """(count,) unlabelled ids. k-means of unit features into min(labelled + count, 500) clusters; from 500 on they are
    the same for every round and seed. Clusters of more than 5 points are walked round and round, those of fewest
    labels first, then the largest; in each the point left with the smallest mean squared distance to its nearest
    20 points left (at most half of them; itself counted), of equals the first.

    The published code gives fewer than `count` when a cluster has no more than 5 points left as its turn comes. Here
    the walk goes on to the next, and over small clusters and small rests once nothing else is left.
    """
    clusters = _clusters(pool, min(len(labelled) + count, MOST_CLUSTERS, len(pool)), generator).cpu()
    left = torch.ones(len(pool), dtype=torch.bool)
    left[labelled.cpu()] = False
    n_clusters = int(clusters.max()) + 1
    sizes = torch.bincount(clusters, minlength=n_clusters)
    held = torch.bincount(clusters[~left], minlength=n_clusters)
    walk = sorted(range(n_clusters), key=lambda cluster: (int(held[cluster]), -int(sizes[cluster])))
    rests = {cluster: torch.nonzero((clusters == cluster) & left)[:, 0] for cluster in walk}
    taken: list[int] = []
    for least in (SMALL, 0):
        _walk([cluster for cluster in walk if sizes[cluster] > least], rests, least, count, taken, pool.directions)
    return torch.tensor(taken, device=pool.features.device)


def _walk(
    walk: list[int], rests: dict[int, Tensor], least: int, count: int, taken: list[int], directions: Tensor
) -> None:
    """Take points until `count` are taken or no cluster has more than `least` left."""
    while len(taken) < count:
        open_clusters = [cluster for cluster in walk if len(rests[cluster]) > least]
        if not open_clusters:
            return
        for cluster in open_clusters[: count - len(taken)]:
            rest = rests[cluster]
            distances = mean_distances(directions[rest.to(directions.device)])
            place = int(torch.nonzero(distances <= distances.min() + SAME)[0])
            taken.append(int(rest[place]))
            rests[cluster] = torch.cat([rest[:place], rest[place + 1 :]])


def mean_distances(points: Tensor) -> Tensor:
    """(n,) mean squared distance of each point to its nearest min(20, n // 2), at least 1, itself counted."""
    neighbours = max(1, min(NEIGHBOURS, len(points) // 2))
    points = points - points.mean(dim=0)
    squares = points.square().sum(dim=1)
    found = []
    for part, own in zip(points.split(CHUNK), squares.split(CHUNK), strict=True):
        distances = (torch.addmm(squares, part, points.T, alpha=-2) + own[:, None]).clamp(min=0)
        found.append(distances.topk(neighbours, dim=1, largest=False).values.mean(dim=1))
    return torch.cat(found)


def _clusters(pool: Pool, k: int, generator: torch.Generator) -> Tensor:
    if k == MOST_CLUSTERS:
        return _frozen(pool)
    return kmeans(pool.directions, k, generator=generator).assignment


@once_per_pool
def _frozen(pool: Pool) -> Tensor:
    return kmeans(pool.directions, MOST_CLUSTERS, generator=pool_generator()).assignment
