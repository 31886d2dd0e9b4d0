"""Each strategy against its definition in plain loops, given the same drawn numbers."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from evaluator.active_learning.kmeans import kmeans, nearest_members
from evaluator.active_learning.names import Strategy
from evaluator.active_learning.pool import Pool, pool_generator
from evaluator.active_learning.state import State
from evaluator.active_learning.strategies import ask
from evaluator.active_learning.strategies.choosing import highest
from tests.builders.pools import a_state, seeded
from tests.evaluator.active_learning import slow

SEEDS = pytest.mark.parametrize("seed", range(3))
Score = Callable[[list[float]], float]


def plain_probabilities(state: State) -> list[list[float]]:
    """Softmax of the head for the unlabelled, by hand."""
    head, found = state.head, []
    for i in state.unlabelled.tolist():
        columns = zip(state.pool.features[i].tolist(), head.shift.tolist(), head.scale.tolist(), strict=True)
        z = [(x - mean) * scale for x, mean, scale in columns]
        logits = [float(b) + sum(float(w) * x for w, x in zip(row, z, strict=True))
                  for row, b in zip(head.weight, head.bias, strict=True)]  # fmt: skip
        top = max(logits)
        powers = [math.exp(x - top) for x in logits]
        found.append([x / sum(powers) for x in powers])
    return found


def passes(state: State, number: int, generator: torch.Generator) -> np.ndarray:
    return state.head.stochastic(state.pool.features[state.unlabelled], number, generator).numpy()


def ids_of(state: State, places: list[int]) -> list[int]:
    unlabelled = state.unlabelled.tolist()
    return [unlabelled[place] for place in places]


@SEEDS
@pytest.mark.parametrize(
    ("strategy", "score"),
    [
        (Strategy.UNCERTAINTY, lambda p: -max(p)),
        (Strategy.ENTROPY, slow.entropy),
        (Strategy.MARGIN, lambda p: sorted(p)[-2] - sorted(p)[-1]),
    ],
)
def test_the_unsure_are_ranked_by_their_probabilities(strategy: Strategy, score: Score, seed: int) -> None:
    state = a_state(seed=seed)
    scores = [score(p) for p in plain_probabilities(state)]
    assert ask(strategy, state).tolist() == ids_of(state, slow.best(scores, state.count))


def test_random_is_uniform_on_the_unlabelled() -> None:
    state = a_state(n=9, held=3, count=2)
    drawn = torch.cat([ask(Strategy.RANDOM, state) for _ in range(3_000)])
    share = torch.bincount(drawn, minlength=9)[state.unlabelled] / 3_000
    assert share.numpy() == pytest.approx(2 / 6, abs=0.04)


@SEEDS
def test_bald_takes_the_highest_information(seed: int) -> None:
    state = a_state(seed=seed)
    scores = slow.information(passes(state, 20, seeded(seed)))
    assert ask(Strategy.BALD, state).tolist() == ids_of(state, slow.best(scores, state.count))


@SEEDS
def test_powerbald_adds_gumbel_noise_to_the_logarithm(seed: int) -> None:
    state, generator = a_state(seed=seed), seeded(seed)
    scores = slow.information(passes(state, 20, generator))
    uniform = torch.rand(len(scores), generator=generator, dtype=torch.float64).tolist()
    noisy = [math.log(i) - math.log(-math.log(u)) for i, u in zip(scores, uniform, strict=True)]
    assert ask(Strategy.POWERBALD, state).tolist() == ids_of(state, slow.best(noisy, state.count))


@SEEDS
@pytest.mark.parametrize("count", [7, 48])
def test_coreset_takes_the_farthest_again_and_again_even_more_than_there_are_features(seed: int, count: int) -> None:
    state = a_state(seed=seed, count=count)
    z = state.head.embed(state.pool.features).double().numpy()
    assert ask(Strategy.CORESET, state).tolist() == slow.coreset(z, state.labelled.tolist(), count)


@SEEDS
def test_badge_is_k_means_plus_plus_on_the_gradients_of_the_last_layer(seed: int) -> None:
    state = a_state(seed=seed)
    z = state.head.embed(state.pool.features[state.unlabelled]).double().numpy()
    error = np.array(plain_probabilities(state))
    for row in error:
        row[np.argmax(row)] -= 1
    gradients = [np.outer(e, x).ravel() for e, x in zip(error, z, strict=True)]
    draws = torch.rand(state.count, generator=seeded(seed), dtype=torch.float64).tolist()
    places = slow.spread(len(z), state.count, lambda i, j: slow.squared(gradients[i], gradients[j]), draws)
    assert ask(Strategy.BADGE, state).tolist() == ids_of(state, places)


def alfamix_candidates(state: State) -> list[int]:
    """Ids, with anchors of the classes seen, each mixed in turn."""
    z = state.head.embed(state.pool.features).double().numpy()
    labels = state.labels.tolist()
    anchors = np.array([np.mean([z[i] for i, label in zip(state.labelled.tolist(), labels, strict=True) if label == c],
                                axis=0) for c in sorted(set(labels))])  # fmt: skip
    weight, bias = state.head.weight.double().numpy(), state.head.bias.double().numpy()
    p = np.array(plain_probabilities(state))
    return ids_of(state, slow.alfamix_candidates(z[state.unlabelled.numpy()], p, weight, bias, anchors))


@SEEDS
@pytest.mark.parametrize("unseen", [False, True])
def test_alfamix_candidates_are_those_that_any_anchor_of_a_class_seen_flips(seed: int, unseen: bool) -> None:
    state = a_state(n=200, seed=seed, count=150, sharp=0.5)
    if unseen:
        kept = state.labels != 0
        state = dataclasses.replace(state, labelled=state.labelled[kept], labels=state.labels[kept])
    candidates = alfamix_candidates(state)
    assert 3 < len(candidates) < 150
    assert ask(Strategy.ALFAMIX, state)[: len(candidates)].tolist() == candidates
    few = dataclasses.replace(state, count=3, generator=seeded(9))
    assert ask(Strategy.ALFAMIX, few).tolist() == spread_over(few, candidates)


def spread_over(state: State, candidates: list[int]) -> list[int]:
    """k-means (checked in test_kmeans.py) of unit z of the candidates, by the state's seed 9."""
    z = functional.normalize(state.head.embed(state.pool.features[candidates]), dim=1)
    return [candidates[place] for place in nearest_members(z, kmeans(z, state.count, generator=seeded(9))).tolist()]


@SEEDS
@pytest.mark.parametrize(("count", "least"), [(1, 2), (5, 1)])
def test_dropquery_spreads_over_those_that_disagree_and_takes_one_pass_where_they_are_few(
    seed: int, count: int, least: int
) -> None:
    state = dataclasses.replace(a_state(n=150, seed=seed, count=count), generator=seeded(9))
    generator = seeded(9)
    drawn = passes(state, 3, generator)
    own = [int(np.argmax(p)) for p in plain_probabilities(state)]
    differing = [sum(int(np.argmax(drawn[m, i])) != own[i] for m in range(3)) for i in range(len(own))]
    enough = sum(d >= 2 for d in differing) >= 25 * count
    assert enough == (least == 2)
    candidates = ids_of(state, [i for i, d in enumerate(differing) if d >= least])
    z = functional.normalize(state.head.embed(state.pool.features[candidates]), dim=1)
    expected = nearest_members(z, kmeans(z, count, generator=generator)).tolist()
    assert ask(Strategy.DROPQUERY, state).tolist() == [candidates[place] for place in expected]


def test_dropquery_fills_uniformly_when_all_agree() -> None:
    state = a_state(n=9, held=3, count=2, dropout=0.0)
    drawn = torch.cat([ask(Strategy.DROPQUERY, state) for _ in range(1_000)])
    share = torch.bincount(drawn, minlength=9)[state.unlabelled] / 1_000
    assert share.numpy() == pytest.approx(2 / 6, abs=0.06)


@SEEDS
@pytest.mark.parametrize("count", [3, 20, 45])
def test_typiclust_walks_its_clusters(seed: int, count: int) -> None:
    state = a_state(n=70, held=6, seed=seed, count=count)
    directions = state.pool.directions
    clusters = kmeans(directions, 6 + count, generator=seeded(seed)).assignment.tolist()
    expected = slow.typiclust(slow.unit(state.pool.features.numpy()), clusters, state.labelled.tolist(), count)
    assert ask(Strategy.TYPICLUST, state).tolist() == expected


def test_typiclust_keeps_its_clusters_for_good_from_500_on() -> None:
    first = a_state(n=620, held=490, count=12, seed=1)
    clusters = kmeans(first.pool.directions, 500, generator=pool_generator()).assignment.tolist()
    expected = slow.typiclust(slow.unit(first.pool.features.numpy()), clusters, first.labelled.tolist(), 12)
    for seed in (1, 2):
        assert ask(Strategy.TYPICLUST, dataclasses.replace(first, generator=seeded(seed))).tolist() == expected


@SEEDS
@pytest.mark.parametrize("apart", [1.5, 8])
def test_probcover_covers_most_first(seed: int, apart: float) -> None:
    state = a_state(n=70, held=4, seed=seed, count=30)
    if apart != 1.5:
        groups = torch.arange(70) % 4
        features = functional.one_hot(groups, 4) * apart + torch.rand(70, 4, generator=seeded(seed))
        state = dataclasses.replace(state, pool=Pool(features=features, n_classes=4))
    clusters = kmeans(state.pool.directions, 4, generator=pool_generator()).assignment.tolist()
    expected = slow.probcover(slow.unit(state.pool.features.numpy()), clusters, state.labelled.tolist(), 30)
    found = ask(Strategy.PROBCOVER, state).tolist()
    assert found[: len(expected)] == expected
    assert len(expected) < 30 or apart == 1.5  # far groups are soon covered, and the rest is drawn


def test_the_order_of_a_file_does_not_decide_between_equals() -> None:
    generator = seeded(0)
    drawn = torch.cat([highest(torch.zeros(5), torch.arange(5), 1, generator) for _ in range(2_000)])
    assert (torch.bincount(drawn, minlength=5) / 2_000).numpy() == pytest.approx(0.2, abs=0.04)


def test_a_score_that_is_no_number_is_loud() -> None:
    with pytest.raises(RuntimeError, match="NaN"):
        highest(torch.tensor([0.0, torch.nan]), torch.arange(2), 1, seeded(0))
