"""What is suggested: as many as asked for, new and distinct, whatever the labels; and in which words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.active_learning.names import HeadKind, Strategy
from evaluator.active_learning.suggesting.suggest import suggest
from evaluator.active_learning.suggesting.suggestion import Basis, suggestion_from
from evaluator.errors import InputError
from evaluator.suggest.words import how_chosen, reason

CENTRES = np.random.default_rng(1).normal(size=(4, 16)) * 4


def blobs(n: int, seed: int = 0) -> tuple[np.ndarray, list[str], list[int]]:
    """Points around four centres, far apart: features, ids and which centre."""
    random = np.random.default_rng(seed)
    which = [place % 4 for place in range(n)]
    return (
        (CENTRES[which] + random.normal(size=(n, 16))).astype(np.float32),
        [f"{place:03}" for place in range(n)],
        which,
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_exactly_as_many_new_ids_as_asked_for(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 30))
    features, ids, _ = blobs(n)
    if data.draw(st.booleans()):
        features = np.round(features * 0) if data.draw(st.booleans()) else features[np.arange(n) // 5 * 5]
    names = data.draw(st.lists(st.sampled_from(ids), unique=True, max_size=n - 1))
    labels = {name: data.draw(st.sampled_from("abc")) for name in names}
    count = data.draw(st.integers(1, n - len(labels)))
    strategy, head = data.draw(st.sampled_from(list(Strategy))), data.draw(st.sampled_from(list(HeadKind)))
    found = suggest(features, ids, labels, count=count, strategy=strategy, head=head)
    chosen = [pick.id for pick in found.picks]
    assert len(set(chosen)) == count and set(chosen) <= set(ids) - set(labels)
    assert found.basis is [Basis.IMAGES, Basis.ONE_CLASS, Basis.CLASSES][min(len(set(labels.values())), 2)]
    assert found == suggest(features, ids, labels, count=count, strategy=strategy, head=head)
    assert found == suggestion_from(found.as_dict())
    assert all(reason(pick) for pick in found.picks) and how_chosen(found)


def test_the_first_round_shows_one_of_each_kind_and_its_group() -> None:
    features, ids, which = blobs(80)
    found = suggest(features, ids, {}, count=4)
    assert {which[ids.index(pick.id)] for pick in found.picks} == {0, 1, 2, 3}
    assert [(pick.group, pick.members, pick.typicality) for pick in found.picks] == [(g, 20, 1.0) for g in (1, 2, 3, 4)]
    assert reason(found.picks[0]) == "representative of 20 similar images (group 1)"
    assert "no labels yet" in how_chosen(found)


def test_with_one_class_the_others_are_looked_for_far_away() -> None:
    features, ids, which = blobs(80)
    labels = {ids[place]: "cell" for place in range(80) if which[place] == 2 and place < 40}
    found = suggest(features, ids, labels, count=3)
    assert {which[ids.index(pick.id)] for pick in found.picks} == {0, 1, 3}
    assert "All labels so far are “cell”" in how_chosen(found) and found.picks[0].guess is None


def test_with_classes_the_most_uncertain_come_first_and_say_so() -> None:
    features, ids, which = blobs(80)
    features[79] = (CENTRES[0] + CENTRES[1]) / 2
    labels = {ids[place]: f"kind {which[place]}" for place in range(12)}
    between = suggest(features, ids, labels, count=3, strategy=Strategy.MARGIN).picks[0]
    assert between.id == ids[79] and between.guess in ("kind 0", "kind 1") and "two nearly level" in reason(between)
    found = suggest(features, ids, labels, count=3)
    shares = [pick.disagreement for pick in found.picks]
    assert shares == sorted(shares, reverse=True) and reason(found.picks[0]).startswith("uncertain: another class in ")
    assert "trained on your 12 labels" in how_chosen(found) and found.labelled == {f"kind {k}": 3 for k in range(4)}


def test_label_by_label_it_learns_the_classes() -> None:
    """Rounds of the loop that a person goes through; in the end every guess is right."""
    features, ids, which = blobs(120)
    labels: dict[str, str] = {}
    for _ in range(4):
        found = suggest(features, ids, labels, count=6)
        labels |= {pick.id: f"kind {which[ids.index(pick.id)]}" for pick in found.picks}
    assert len(labels) == 24
    last = suggest(features, ids, labels, count=96)
    assert all(pick.guess == f"kind {which[ids.index(pick.id)]}" for pick in last.picks)


@pytest.mark.parametrize(("count", "code"), [(0, "bad_count"), (-3, "bad_count"), (8, "too_few_candidates")])
def test_a_count_that_cannot_be_is_refused(count: int, code: str) -> None:
    features, ids, _ = blobs(10)
    with pytest.raises(InputError) as caught:
        suggest(features, ids, {"000": "a", "001": "b", "002": "b"}, count=count)
    assert caught.value.counts == {code: 1}


def test_another_seed_draws_otherwise() -> None:
    features, ids, _ = blobs(80)
    once, again = (suggest(features, ids, {}, count=10, strategy=Strategy.RANDOM, seed=seed) for seed in (0, 1))
    assert {pick.id for pick in once.picks} != {pick.id for pick in again.picks}
