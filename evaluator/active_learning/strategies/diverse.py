"""Points that differ from those labelled and from each other, in what the last layer sees. In: State; out: ids.

Coreset: Sener & Savarese 2018. BADGE: Ash et al. 2020. z is the head's embedding.
"""

import torch
from torch import Tensor
from torch.nn import functional

from evaluator.active_learning.kmeans import spread_seeds
from evaluator.active_learning.state import State

CHUNK = 4_096  # points compared with all labelled ones at a time


def coreset(state: State) -> Tensor:
    """Greedy k-centre: again and again the point farthest from its nearest labelled or taken one; of equals the first.

    The published code compares the number wanted with the dimension and refuses more than d; here any number is right.
    """
    unlabelled = state.unlabelled
    embedded = state.head.embed(state.pool.features)
    embedded = embedded - embedded.mean(dim=0)  # distances stay; precision of the products grows
    points, squares = embedded[unlabelled], embedded[unlabelled].square().sum(dim=1)
    nearest = torch.cat([_nearest(part, embedded[state.labelled]) for part in points.split(CHUNK)])
    taken: list[int] = []
    for _ in range(state.count):
        taken.append(int(nearest.argmax()))
        distance = (squares - 2 * (points @ points[taken[-1]]) + squares[taken[-1]]).clamp(min=0)
        nearest = torch.minimum(nearest, distance)
        nearest[taken[-1]] = -1.0  # below every distance, so that no point is taken twice
    return unlabelled[taken]


def badge(state: State) -> Tensor:
    """k-means++ draw of gradients g = (p − onehot(argmax p)) ⊗ z of the last layer, which are never formed:
    |g_i − g_j|² = |z_i|²|d_i|² + |z_j|²|d_j|² − 2 (z_i·z_j)(d_i·d_j) with d = p − onehot.

    Where every gradient left equals one taken (p = onehot everywhere), the draw goes on uniformly.
    """
    unlabelled = state.unlabelled
    features = state.pool.features[unlabelled]
    embedded, probabilities = state.head.embed(features), state.head.probabilities(features)
    error = probabilities - functional.one_hot(probabilities.argmax(dim=1), probabilities.shape[1])
    squares = embedded.square().sum(dim=1) * error.square().sum(dim=1)

    def distances(to: int) -> Tensor:
        return squares + squares[to] - 2 * (embedded @ embedded[to]) * (error @ error[to])

    taken = spread_seeds(len(unlabelled), state.count, distances, generator=state.generator)
    return unlabelled[taken.to(unlabelled.device)]


def _nearest(points: Tensor, others: Tensor) -> Tensor:
    if not len(others):
        return torch.full_like(points[:, 0], torch.inf)
    crossed = torch.addmm(others.square().sum(dim=1), points, others.T, alpha=-2).amin(dim=1)
    return (crossed + points.square().sum(dim=1)).clamp(min=0)
