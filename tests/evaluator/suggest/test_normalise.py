"""Pixel values to 8 bits by a stated rule, against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluator.errors import InputError
from evaluator.suggest.images.normalise import Method, Normalisation, parse_normalisation, to_8_bits


def slow(channel: np.ndarray, low: float, high: float) -> tuple[list[int], float]:
    found, beyond = [], 0
    for value in channel.ravel().tolist():
        beyond += value < low or value > high
        if high == low:
            found.append(255 if value > high else 0)
        else:
            found.append(round((min(max(value, low), high) - low) * (255 / (high - low))))
    return found, beyond / channel.size


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint16, (4, 5), elements=st.integers(0, 65535)), st.integers(0, 60_000), st.integers(1, 65_535))
def test_a_fixed_range_is_the_plain_formula(channel: np.ndarray, low: int, width: int) -> None:
    rule = parse_normalisation(f"range:{low},{low + width}")
    pixels, beyond = to_8_bits(channel, rule)
    expected, share = slow(channel, low, low + width)
    assert pixels.dtype == np.uint8 and pixels.ravel().tolist() == expected and beyond == share


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, (6, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_percentiles_are_those_of_the_channel(channel: np.ndarray) -> None:
    pixels, beyond = to_8_bits(channel, parse_normalisation("percentile:5,95"))
    low, high = (float(np.percentile(channel, share)) for share in (5, 95))
    expected, share = slow(channel, low, high)
    assert np.abs(pixels.ravel().astype(int) - expected).max() <= 1 and beyond == share  # halves may round either way


@pytest.mark.parametrize(("kind", "black", "white"), [
    (np.uint8, 0, 255), (np.uint16, 0, 65_535), (np.int16, -32_768, 32_767), (np.bool_, False, True),
])  # fmt: skip
def test_dtype_takes_the_ends_of_the_type(kind: type, black: int, white: int) -> None:
    pixels, beyond = to_8_bits(np.array([[black, white]], kind), Normalisation(method=Method.DTYPE))
    assert pixels.tolist() == [[0, 255]] and beyond == 0


def test_floats_have_no_type_range() -> None:
    with pytest.raises(InputError, match="no_type_range"):
        to_8_bits(np.zeros((2, 2), np.float32), Normalisation(method=Method.DTYPE))


@pytest.mark.parametrize("text", [
    "", "max", "dtype:0,1", "range", "range:5", "range:1,2,3", "range:2,1", "range:1,1", "range:nan,1",
    "percentile:-1,50", "percentile:0,101", "range:0,inf", "DTYPE",
])  # fmt: skip
def test_what_is_no_rule_is_refused_with_the_rules(text: str) -> None:
    with pytest.raises(InputError, match="bad_normalisation.*percentile:0.5,99.5"):
        parse_normalisation(text)


@pytest.mark.parametrize("text", ["dtype", "range:0,65535", "range:-5,1.5", "percentile:0.5,99.5"])
def test_a_rule_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_normalisation(text)) == text
