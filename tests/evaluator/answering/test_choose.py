"""Choosing options: worked by hand, against a slow definition, and the attacks."""

import tracemalloc
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.answering.choose import TIE, choose, cosines


def test_highest_score_wins_and_ties_abstain() -> None:
    scores = np.array([0.1, 0.3, 0.2, 0.5, 0.5, 0.1, 0.7, 0.4, 0.4 + 5e-7, 0.4, 0.4 + 1e-5], np.float32)
    offsets = np.array([0, 3, 6, 7, 9, 11])
    assert choose(scores, offsets).tolist() == [1, -1, 0, -1, 1]


def test_equal_scores_everywhere_are_never_right() -> None:
    assert choose(np.zeros(12, np.float32), np.array([0, 4, 8, 12])).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_score_is_an_error(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        choose(np.array([0.1, bad], np.float32), np.array([0, 2]))


def test_question_without_options_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one option"):
        choose(np.array([0.1], np.float32), np.array([0, 0, 1]))


FEW_VALUES = st.sampled_from([0.0, 0.25, 0.25 + 4e-7, 0.25 + 3e-6, 0.5, 1.0, -1.0])


@given(st.lists(st.lists(FEW_VALUES, min_size=1, max_size=6), min_size=1, max_size=20))
def test_same_as_the_slow_definition(questions: list[list[float]]) -> None:
    questions = [np.array(scores, np.float32).tolist() for scores in questions]
    expected = []
    for scores in questions:
        first, *rest = sorted(scores, reverse=True)
        expected.append(-1 if rest and first - rest[0] <= TIE else scores.index(first))
    flat = np.array([score for scores in questions for score in scores], np.float32)
    offsets = np.cumsum([0, *map(len, questions)])
    assert choose(flat, offsets).tolist() == expected


RNG = np.random.default_rng(0)
IMAGES, TEXTS = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (
    RNG.normal(size=(5, 8)).astype(np.float32), RNG.normal(size=(40, 8)).astype(np.float32)))  # fmt: skip
ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.lists(st.integers(0, 39), min_size=1, max_size=9), st.integers(0, 2)), max_size=30
)


@settings(max_examples=200, deadline=None)
@given(ROWS, st.booleans(), st.sampled_from([1, 3, 2_048]), st.sampled_from([0, 1, 24]), st.sampled_from([1, 16_384]))
def test_cosines_are_those_of_the_pairs_in_any_blocks(
    rows: list[tuple[int, list[int], int]], grouped: bool, at_once: int, waste: int, pairs_at_once: int
) -> None:
    image_of, group_of = (np.array([row[at] for row in rows], np.int64) for at in (0, 2))
    text_of = np.array([text for row in rows for text in row[1]], np.int64)
    offsets = np.cumsum([0, *(len(row[1]) for row in rows)])
    limits = {"ROWS_AT_ONCE": at_once, "WASTE": waste, "PAIRS_AT_ONCE": pairs_at_once}
    with patch.multiple("evaluator.answering.choose", **limits):
        found = cosines(IMAGES, TEXTS, image_of, text_of, offsets, group_of if grouped else None)
    expected = [IMAGES[image] @ TEXTS[text] for image, texts, _ in rows for text in texts]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array(expected, np.float32), rtol=0, atol=1e-6)


def test_the_same_text_twice_ties() -> None:
    """Whichever way the block is computed, equal texts have equal scores, so a double option is never right."""
    image_of, text_of = np.arange(5), np.tile([3, 7, 3], 5)
    scores = cosines(IMAGES, TEXTS, image_of, text_of, np.arange(0, 16, 3)).reshape(5, 3)
    assert np.array_equal(scores[:, 0], scores[:, 2])
    doubled = scores[:, 0] > scores[:, 1]
    assert doubled.any() and (choose(scores.ravel(), np.arange(0, 16, 3))[doubled] == -1).all()


@pytest.mark.parametrize("shared", [True, False])
def test_memory_is_bounded(shared: bool) -> None:
    """Beyond the scores themselves and a sort of the rows; a fetch of every pair's vectors would be 200 MB."""
    rng = np.random.default_rng(0)
    images, texts = rng.random((2_000, 256), np.float32), rng.random((20_000, 256), np.float32)
    image_of = np.repeat(np.arange(2_000), 10)
    text_of = rng.integers(0, 12 if shared else 20_000, 5 * len(image_of))
    tracemalloc.start()
    try:
        cosines(images, texts, image_of, text_of, np.arange(0, len(text_of) + 1, 5))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6
