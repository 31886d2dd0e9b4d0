"""Choosing options: worked by hand, against a slow definition, and the attacks."""

import numpy as np
import pytest
from hypothesis import given
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


def test_cosines_take_the_right_pairs() -> None:
    rng = np.random.default_rng(0)
    images, texts = rng.normal(size=(5, 8)).astype(np.float32), rng.normal(size=(7, 8)).astype(np.float32)
    image_of, offsets = np.array([4, 0, 0]), np.array([0, 2, 5, 6])
    text_of = np.array([6, 1, 0, 0, 3, 5])
    expected = [images[image] @ texts[text] for image, text in zip([4, 4, 0, 0, 0, 0], text_of, strict=True)]
    np.testing.assert_allclose(cosines(images, texts, image_of, text_of, offsets), expected, rtol=1e-5, atol=1e-6)
