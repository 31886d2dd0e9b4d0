"""Reasons tell what is so: counted here by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from evaluator.active_learning.names import Start, Strategy
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.starts import choose_start
from evaluator.active_learning.strategies import ask
from evaluator.active_learning.suggesting.reasons import reasons, reasons_of_start
from tests.builders.pools import a_state, seeded


def test_an_opinion_is_the_heads() -> None:
    state = a_state(n=100, count=9)
    chosen = ask(Strategy.MARGIN, state)
    found = reasons(state, chosen)
    assert [reason.id for reason in found] == chosen.tolist()
    p = state.head.probabilities(state.pool.features[chosen]).double().numpy()
    passes = state.head.stochastic(state.pool.features[chosen], 2_000, seeded(5)).argmax(dim=2).numpy()
    for place, reason in enumerate(found):
        assert reason.opinion is not None
        first, second = sorted(p[place])[::-1][:2]
        assert reason.opinion.predicted == int(np.argmax(p[place]))
        assert reason.opinion.margin == pytest.approx(first - second, abs=1e-6)
        assert 20 * reason.opinion.disagreement == pytest.approx(round(20 * reason.opinion.disagreement))
    assert reasons(state, chosen) == found
    share = (passes != p.argmax(axis=1)).mean(axis=0)
    shown = np.array([reason.opinion.disagreement for reason in found if reason.opinion])
    assert shown.mean() == pytest.approx(share.mean(), abs=0.1) and np.abs(shown - share).max() < 0.4


def test_clusters_are_numbered_by_size_and_measured() -> None:
    sizes = [5, 20, 10, 8, 12]
    groups = torch.repeat_interleave(torch.arange(5), torch.tensor(sizes))
    features = 50 * functional.one_hot(groups, 5) + torch.rand(55, 5, generator=seeded(2))
    chosen = torch.tensor([1, 6, 30, 36, 50])
    found = reasons_of_start(Pool(features=features, n_classes=5), chosen)
    assert [(reason.cluster, reason.members) for reason in found] == list(zip([5, 1, 3, 4, 2], sizes, strict=True))
    directions = functional.normalize(features, dim=1)
    for reason, group in zip(found, range(5), strict=True):
        expected = (directions[reason.id] - directions[groups == group].mean(dim=0)).norm()
        assert reason.distance == pytest.approx(expected.item(), abs=1e-6) and reason.opinion is None


def test_a_start_of_the_whole_pool_has_reasons_too() -> None:
    pool = Pool(features=torch.ones(4, 1), n_classes=2)
    chosen = choose_start(Start.CENTROID, pool, 4, generator=seeded(0))
    found = reasons_of_start(pool, chosen)
    assert sorted(reason.cluster for reason in found) == [1, 2, 3, 4] and {reason.members for reason in found} == {1}
