"""Groups of points and the point in the middle of each. In: points; out: Clusters, or ids.

Seeds are plain k-means++ (first uniform, next by squared distance), then scikit-learn's KMeans goes on from them. One
restart, at most 100 iterations, trained on at most 512 points per cluster, as Gupte et al. have it (faiss). It ends
sooner once the centroids are at rest, to 1e-4 of the variance; the published code goes on for all 100.
"""

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController
from torch import Tensor

POINTS_PER_CLUSTER = 512  # at most, in training
CHUNK = 4_096  # points compared with all centroids at a time


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """assignment: (n,) int64, every cluster 0 … k − 1 has a member; centroids: (k, d)."""

    assignment: Tensor
    centroids: Tensor

    @property
    def sizes(self) -> Tensor:
        """(k,) members of each."""
        return torch.bincount(self.assignment, minlength=len(self.centroids))


def kmeans(points: Tensor, k: int, *, generator: torch.Generator, iterations: int = 100) -> Clusters:
    """Exactly k groups of (n, d) finite points, 1 ≤ k ≤ n, by squared Euclidean distance.

    Where points are fewer than k apart from duplicates, or a cluster would be empty, the point farthest from its own
    centroid becomes a cluster of its own. Equal points, generator and number of threads give equal clusters.
    """
    if not 1 <= k <= len(points):
        raise ValueError(f"{k} clusters of {len(points)} points")
    centre = points.mean(dim=0)
    centred = points - centre  # keeps precision where all points lie far from 0
    sample = centred
    if len(points) > k * POINTS_PER_CLUSTER:
        order = torch.randperm(len(points), generator=generator, device=generator.device)
        sample = centred[order[: k * POINTS_PER_CLUSTER].to(points.device)]
    squares = sample.square().sum(dim=1)

    def distances(to: int) -> Tensor:
        return squares - 2 * (sample @ sample[to]) + squares[to]

    seeds = sample[spread_seeds(len(sample), k, distances, generator=generator).to(points.device)]
    centroids = _lloyd(sample, seeds, iterations)
    assignment, centroids = _without_empty(centred, _nearest(centred, centroids), centroids)
    return Clusters(assignment=assignment, centroids=centroids + centre)


def nearest_members(points: Tensor, clusters: Clusters) -> Tensor:
    """(k,) the member nearest to the centroid of each cluster, so distinct ids; of equals the first."""
    distance = _own_distances(points, clusters.assignment, clusters.centroids)
    order = torch.argsort(distance, stable=True)
    order = order[torch.argsort(clusters.assignment[order], stable=True)]
    sizes = clusters.sizes
    return order[torch.cumsum(sizes, dim=0) - sizes]


def own_distances(points: Tensor, clusters: Clusters) -> Tensor:
    """(n,) distances of the points to the centroids of their own clusters."""
    return _own_distances(points, clusters.assignment, clusters.centroids).sqrt()


def spread_seeds(n: int, count: int, distances: Callable[[int], Tensor], *, generator: torch.Generator) -> Tensor:
    """(count,) distinct ids of 0 … n − 1 by k-means++: the first uniform, the next by squared distance to the nearest
    one taken. Where all that is left lies on those taken, the next is uniform.

    distances: (n,) squared distances of all points to one; a little below 0 by rounding is taken as 0.
    """
    draws = torch.rand(count, generator=generator, device=generator.device, dtype=torch.float64).tolist()
    taken = [min(int(draws[0] * n), n - 1)]
    nearest = distances(taken[0]).double().clamp(min=0)
    free = torch.ones_like(nearest)
    for draw in draws[1:]:
        free[taken[-1]] = nearest[taken[-1]] = 0
        taken.append(_drawn(nearest, free, draw))
        nearest = torch.minimum(nearest, distances(taken[-1]).clamp(min=0)) * free
    return torch.tensor(taken)


def _drawn(weights: Tensor, free: Tensor, draw: float) -> int:
    """The id at share `draw` of the summed weights, or of what is free where every weight is 0."""
    sums = torch.cumsum(weights, dim=0)
    if not sums[-1] > 0:
        sums = torch.cumsum(free, dim=0)
    place = int(torch.searchsorted(sums, draw * sums[-1], right=True))
    if place < len(sums):
        return place
    return int(torch.nonzero(sums == sums[-1])[0])  # rounding went past the end: the last with a weight


def _lloyd(points: Tensor, seeds: Tensor, iterations: int) -> Tensor:
    model = KMeans(len(seeds), init=seeds.cpu().numpy(), n_init=1, max_iter=iterations, copy_x=True)
    with _threads().limit(limits=1, user_api="openmp"), warnings.catch_warnings():
        # Threads of scikit-learn add their sums in the order in which they end, which would change the last digits.
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters: repaired below
        model.fit(points.cpu().numpy())
    return torch.from_numpy(model.cluster_centers_).to(points)


@functools.cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries, which takes 5 ms


def _nearest(points: Tensor, centroids: Tensor) -> Tensor:
    squares = centroids.square().sum(dim=1)
    parts = [torch.addmm(squares, part, centroids.T, alpha=-2).argmin(dim=1) for part in points.split(CHUNK)]
    return torch.cat(parts)


def _own_distances(points: Tensor, assignment: Tensor, centroids: Tensor) -> Tensor:
    pairs = zip(points.split(CHUNK), assignment.split(CHUNK), strict=True)
    return torch.cat([(part - centroids[own]).square().sum(dim=1) for part, own in pairs])


def _without_empty(points: Tensor, assignment: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    sizes = torch.bincount(assignment, minlength=len(centroids))
    empty = torch.nonzero(sizes == 0)[:, 0].tolist()
    if not empty:
        return assignment, centroids
    distance = _own_distances(points, assignment, centroids)
    assignment, centroids = assignment.clone(), centroids.clone()
    for cluster in empty:
        movable = sizes[assignment] > 1
        moved = int(torch.where(movable, distance, -1.0).argmax())
        sizes[assignment[moved]] -= 1
        sizes[cluster] = 1
        assignment[moved], centroids[cluster], distance[moved] = cluster, points[moved], -1.0
    return assignment, centroids
