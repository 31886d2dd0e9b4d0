"""Why an image was chosen, in numbers that a reader understands. In: State or Pool, ids; out: one Reason per id."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from evaluator.active_learning.kmeans import kmeans, own_distances
from evaluator.active_learning.pool import Pool, pool_generator
from evaluator.active_learning.state import State
from evaluator.active_learning.strategies.uncertain import leads

PASSES = 20


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What the head makes of one image: its class; the share of 20 passes with dropout that give another; the lead of
    its class over the second in probability."""

    predicted: int
    disagreement: float
    margin: float


@dataclass(frozen=True, kw_only=True)
class Reason:
    """cluster: 1 … k of the whole pool, largest first, with `members` images; distance: of the image to its centre, on
    features of length 1 (0 … 2); typicality: the share of the members that lie at least as far from it, 1 for the most
    typical one; opinion: None before there is a head."""

    id: int
    cluster: int
    members: int
    distance: float
    typicality: float
    opinion: Opinion | None


def reasons(state: State, chosen: Tensor) -> list[Reason]:
    """One per chosen id, in their order. Clusters are k-means of the whole pool into as many groups as ids were chosen,
    the same for every seed; passes are drawn apart from those that the strategy saw."""
    features = state.pool.features[chosen]
    probabilities = state.head.probabilities(features)
    predicted = probabilities.argmax(dim=1)
    generator = torch.Generator(device=features.device).manual_seed(0)
    differing = state.head.stochastic(features, PASSES, generator).argmax(dim=2) != predicted
    opinions = [
        Opinion(predicted=class_, disagreement=share, margin=lead)
        for class_, share, lead in zip(
            predicted.tolist(), differing.double().mean(dim=0).tolist(), leads(probabilities).tolist(), strict=True)
    ]  # fmt: skip
    return _reasons(state.pool, chosen, opinions)


def reasons_of_start(pool: Pool, chosen: Tensor, generator: torch.Generator | None = None) -> list[Reason]:
    """The same of a start: there is no head yet, so clusters only. With a `generator` in the state in which the
    centroid start got its own, the clusters are those of that start."""
    return _reasons(pool, chosen, [None] * len(chosen), generator)


def _reasons(
    pool: Pool, chosen: Tensor, opinions: Sequence[Opinion | None], generator: torch.Generator | None = None
) -> list[Reason]:
    clusters = kmeans(pool.directions, len(chosen), generator=generator or pool_generator())
    distances = own_distances(pool.directions, clusters)
    order = torch.argsort(clusters.sizes, descending=True, stable=True)
    number = torch.argsort(order) + 1
    found = []
    for id_, opinion in zip(chosen.tolist(), opinions, strict=True):
        cluster = clusters.assignment[id_]
        beside = distances[clusters.assignment == cluster]
        found.append(Reason(
            id=id_, cluster=int(number[cluster]), members=len(beside), distance=float(distances[id_]),
            typicality=float((beside >= distances[id_]).double().mean()), opinion=opinion,
        ))  # fmt: skip
    return found
