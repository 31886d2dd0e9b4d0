"""How pixel values become 8 bits. In: a rule as text, one channel; out: 0 … 255, and how much was cut off.

No rule is assumed: what is not 8-bit already needs one, because contrast decides what an encoder sees.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from evaluator.errors import InputError

EXAMPLES = "dtype, range:0,65535 or percentile:0.5,99.5"
WHITE = 255
TABLED = (np.uint8, np.uint16)


class Method(StrEnum):
    """What black and white are: the given percentiles of each channel of each image, two fixed values, or the ends of
    the file's own type."""

    PERCENTILE = "percentile"
    RANGE = "range"
    DTYPE = "dtype"


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """low, high: percentiles, or values; both 0 for DTYPE, which names none."""

    method: Method
    low: float = 0.0
    high: float = 0.0

    def __str__(self) -> str:
        return self.method if self.method is Method.DTYPE else f"{self.method}:{self.low:g},{self.high:g}"


def parse_normalisation(text: str) -> Normalisation:
    """`dtype`, `range:LOW,HIGH` or `percentile:LOW,HIGH`. Raises InputError `bad_normalisation`."""
    name, colon, rest = text.strip().partition(":")
    try:
        method = Method(name)
        low, high = (float(number) for number in rest.split(",")) if colon else (0.0, 0.0)
    except ValueError:
        raise _bad(text, "is no normalisation") from None
    if (method is Method.DTYPE) is bool(colon):
        raise _bad(text, "is no normalisation")
    if method is not Method.DTYPE and not (np.isfinite([low, high]).all() and low < high):
        raise _bad(text, "needs two numbers, the lower one first")
    if method is Method.PERCENTILE and not (low >= 0 and high <= 100):
        raise _bad(text, "needs percentiles from 0 to 100")
    return Normalisation(method=method, low=low, high=high)


def _bad(text: str, why: str) -> InputError:
    message = f"{text[:80]!r} {why}. Write {EXAMPLES}."
    return InputError.single("bad_normalisation", message, field="normalise")


def to_8_bits(channel: NDArray, rule: Normalisation) -> tuple[NDArray[np.uint8], float]:
    """(h, w) uint8, rounded to the nearest, and the share of pixels that lay beyond black or white.

    channel: (h, w), integers or finite floats. Where black and white are equal, what is above is white, all else black.
    Raises InputError `no_type_range` for floats under `dtype`.
    """
    low, high = _ends(channel, rule)
    beyond = float(np.mean((channel < low) | (channel > high)))
    if channel.dtype in TABLED:  # every value there can be, once: an image has many more pixels
        every = np.arange(np.iinfo(channel.dtype).max + 1)
        return np.take(_scaled(every, low, high), channel), beyond
    return _scaled(channel, low, high), beyond


def _scaled(values: NDArray, low: float, high: float) -> NDArray[np.uint8]:
    if high <= low:
        return np.where(values > high, WHITE, 0).astype(np.uint8)
    wide = np.clip(values.astype(np.float64), low, high)
    return np.rint((wide - low) * (WHITE / (high - low))).astype(np.uint8)


def _ends(channel: NDArray, rule: Normalisation) -> tuple[float, float]:
    if rule.method is Method.PERCENTILE:
        low, high = np.percentile(channel, [rule.low, rule.high])
        return float(low), float(high)
    if rule.method is Method.RANGE:
        return rule.low, rule.high
    if channel.dtype == np.bool_:
        return 0.0, 1.0
    if not np.issubdtype(channel.dtype, np.integer):
        message = "Its pixels are floating-point numbers, which have no range of their own. Use range or percentile."
        raise InputError.single("no_type_range", message)
    ends = np.iinfo(channel.dtype)
    return float(ends.min), float(ends.max)
