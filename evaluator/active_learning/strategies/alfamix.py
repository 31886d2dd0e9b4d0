"""ALFA-Mix (Parvaneh et al. 2022): points whose predicted class flips when mixed a little with a labelled class."""

import torch
from torch import Tensor
from torch.nn import functional

from evaluator.active_learning.state import State
from evaluator.active_learning.strategies.choosing import spread_out

STEP = 0.2  # ε · √d


def alfamix(state: State) -> Tensor:
    """Of the points whose class flips, `count` that differ (k-means on unit z); all and a uniform fill where fewer.

    With anchor a (mean z of a labelled class), ε = 0.2/√d and g = ∂ cross-entropy(z, argmax p)/∂z, the mixed point is
    a·α + z·(1 − α) with α = ε |a − z| g / (|g| (a − z)) per coordinate, and the division cancels: it is
    z + ε |a − z| g/|g|. An anchor sets the length of the step alone, and the points of one predicted class are a convex
    set, so the farthest anchor flips whatever any anchor flips: one test per point.

    The published code takes anchors of classes 0 … (number seen − 1) and not of those seen; a missing one is NaN and
    makes nearly every point a candidate. Here anchors are those of the classes seen.
    """
    unlabelled, head = state.unlabelled, state.head
    features = state.pool.features[unlabelled]
    embedded, probabilities = head.embed(features), head.probabilities(features)
    farthest = torch.cdist(embedded, class_means(state)).amax(dim=1, keepdim=True)
    predicted = probabilities.argmax(dim=1)
    gradient = (probabilities - functional.one_hot(predicted, head.n_classes)) @ head.weight
    step = STEP / embedded.shape[1] ** 0.5 * farthest
    mixed = embedded + step * functional.normalize(gradient, dim=1)  # a gradient of 0 makes no step
    flips = (mixed @ head.weight.T + head.bias).argmax(dim=1) != predicted
    return spread_out(unlabelled[flips], embedded[flips], state)


def class_means(state: State) -> Tensor:
    """(classes seen, d) mean z of the labelled points of each class seen, ascending by class."""
    embedded = state.head.embed(state.pool.features[state.labelled])
    seen, place = torch.unique(state.labels, return_inverse=True)
    sums = torch.zeros(len(seen), embedded.shape[1], dtype=embedded.dtype, device=embedded.device)
    return sums.index_add_(0, place, embedded) / torch.bincount(place)[:, None]
