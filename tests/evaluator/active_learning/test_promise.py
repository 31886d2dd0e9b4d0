"""Whatever comes in: exactly as many new distinct ids as asked for, the same by the same seed, or a plain error."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.names import Start, Strategy
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.starts import choose_start
from evaluator.active_learning.state import State, keep_promise
from evaluator.active_learning.strategies import ask
from evaluator.errors import InputError
from tests.builders.pools import a_state, seeded


@st.composite
def features(draw: st.DrawFn) -> Tensor:
    """1 to 30 points in 1 to 3 dimensions: constant, zero, of few places, or all apart; near 0 or far."""
    n, d, places = draw(st.integers(1, 30)), draw(st.integers(1, 3)), draw(st.sampled_from([0, 1, 2, 1_000_000]))
    grid = torch.randint(-places, places + 1, (n, d), generator=seeded(draw(st.integers(0, 2**32)))).float()
    return grid * draw(st.sampled_from([1, 1e-6, 1e6])) + draw(st.sampled_from([0, 1]))


@st.composite
def states(draw: st.DrawFn) -> State:
    """Any labels (classes unseen, classes of one member), any head: flat, sharp up to p = 0, with dropout or none."""
    points = draw(features())
    n, d = points.shape
    n_classes = draw(st.integers(1, 5))
    held = draw(st.integers(1, n))
    chance = seeded(draw(st.integers(0, 999)))
    size = draw(st.sampled_from([0, 1, 1e4]))
    head = LinearHead(
        shift=points.mean(dim=0), scale=torch.full((d,), draw(st.sampled_from([0.0, 1.0]))),
        weight=size * torch.randn(n_classes, d, generator=chance), bias=size * torch.randn(n_classes, generator=chance),
        dropout=draw(st.sampled_from([0.0, 0.75])),
    )  # fmt: skip
    return State(
        pool=Pool(features=points, n_classes=n_classes), labelled=torch.randperm(n, generator=chance)[:held],
        labels=torch.randint(n_classes, (held,), generator=chance), head=head, count=draw(st.integers(0, n - held + 1)),
        generator=seeded(1),
    )  # fmt: skip


@pytest.mark.parametrize("strategy", Strategy)
@settings(deadline=None, max_examples=100)
@given(states())
def test_every_strategy_keeps_its_promise(strategy: Strategy, state: State) -> None:
    if not 1 <= state.count <= len(state.unlabelled):
        with pytest.raises(InputError) as refusal:
            ask(strategy, state)
        assert refusal.value.counts == {"too_few_candidates": 1}
        return
    found = ask(strategy, state).tolist()
    assert len(found) == len(set(found)) == state.count
    assert set(found) <= set(range(len(state.pool))) - set(state.labelled.tolist())
    fresh = Pool(features=state.pool.features.clone(), n_classes=state.pool.n_classes)
    assert ask(strategy, dataclasses.replace(state, pool=fresh, generator=seeded(1))).tolist() == found


@pytest.mark.parametrize("start", Start)
@settings(deadline=None, max_examples=100)
@given(features(), st.integers(0, 32), st.integers(1, 20))
def test_every_start_keeps_its_promise(start: Start, points: Tensor, count: int, n_classes: int) -> None:
    pool = Pool(features=points, n_classes=n_classes)
    if not 1 <= count <= len(pool):
        with pytest.raises(InputError) as refusal:
            choose_start(start, pool, count, generator=seeded(1))
        assert refusal.value.counts == {"too_few_candidates": 1}
        return
    found = choose_start(start, pool, count, generator=seeded(1)).tolist()
    assert len(found) == len(set(found)) == count and set(found) <= set(range(len(pool)))
    fresh = Pool(features=points.clone(), n_classes=n_classes)
    assert choose_start(start, fresh, count, generator=seeded(1)).tolist() == found


@pytest.mark.parametrize("strategy", Strategy)
def test_another_seed_may_choose_others_and_asking_changes_nothing(strategy: Strategy) -> None:
    """Except where chance has no part: these choose the same."""
    state = a_state(n=120, count=5)
    before = state.pool.features.clone(), state.labelled.clone(), state.head.weight.clone()
    chosen = {tuple(ask(strategy, dataclasses.replace(state, generator=seeded(seed))).tolist()) for seed in range(6)}
    settled = {Strategy.UNCERTAINTY, Strategy.ENTROPY, Strategy.MARGIN, Strategy.CORESET, Strategy.PROBCOVER}
    assert (len(chosen) == 1) == (strategy in settled)
    assert all(torch.equal(a, b) for a, b in zip(before, (state.pool.features, state.labelled, state.head.weight),
                                                strict=True))  # fmt: skip


@pytest.mark.parametrize("strategy", Strategy)
def test_twenty_rounds_label_a_pool_to_its_last_image(strategy: Strategy) -> None:
    """The published TypiClust ran short on such a pool, and the published DropQuery stopped before the last round."""
    state = a_state(n=80, held=4, count=4, d=2)
    for _ in range(19):
        chosen = ask(strategy, state)
        labelled = torch.cat([state.labelled, chosen])
        state = dataclasses.replace(state, labelled=labelled, labels=labelled % 4)
    assert sorted(state.labelled.tolist()) == list(range(80))


@pytest.mark.parametrize(
    ("ids", "complaint"), [([5, 6], "2 distinct"), ([5, 5, 6], "2 distinct"), ([5, 6, 0], "labelled already")]
)
def test_a_broken_word_is_loud(ids: list[int], complaint: str) -> None:
    state = dataclasses.replace(a_state(n=8, held=3, count=3), labelled=torch.tensor([0, 1, 2]))
    with pytest.raises(RuntimeError, match=complaint):
        keep_promise(lambda _: torch.tensor(ids), state)
