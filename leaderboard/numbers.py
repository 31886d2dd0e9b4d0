"""Numbers as readers see them. In: fractions, seconds, bytes; out: short text, the same everywhere."""

from collections.abc import Sequence

MISSING = "–"
MINUS = "−"


def percent(fraction: float | None) -> str:
    """A fraction as percent with one decimal: 61.2."""
    if fraction is None:
        return MISSING
    return f"{fraction * 100:.1f}".replace("-", MINUS)


def points(fraction: float | None) -> str:
    """A difference of two fractions in points, always with its sign: +12.3, −0.4, 0.0."""
    if fraction is None:
        return MISSING
    shown = f"{fraction * 100:+.1f}"
    return "0.0" if shown in ("+0.0", "-0.0") else shown.replace("-", MINUS)


def points_interval(low: float | None, high: float | None) -> str:
    """'−18.1 to −6.5': with signs in it, a dash between the two would be misread."""
    return MISSING if low is None or high is None else f"{points(low)} to {points(high)}"


def position(fraction: float) -> str:
    """A fraction as a length on a drawn scale: 61.2%."""
    return f"{round(fraction * 100, 1):g}%"


def count(number: int | float | None) -> str:
    """Thousands apart by a thin space: 16 130."""
    return MISSING if number is None else f"{number:,.0f}".replace(",", "\u202f")


def large(number: int | float | None) -> str:
    """A count in three digits: 151 M, 2.0 M, 12 k."""
    if number is None:
        return MISSING
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            scaled = number / size
            return f"{scaled:.0f} {unit}" if scaled >= 99.5 else f"{scaled:.3g} {unit}"
    return f"{number:.0f}"


def size(n_bytes: int | None) -> str:
    """Bytes in decimal units: 4.2 MB."""
    if n_bytes is None:
        return MISSING
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes} bytes"


def duration(seconds: float | None) -> str:
    """4 min 12 s; 2 h 5 min; 3 d 4 h."""
    if seconds is None:
        return MISSING
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    for large_s, large_unit, small_s, small_unit in (
        (86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"),
    ):  # fmt: skip
        if whole >= large_s:
            rest = whole % large_s // small_s
            return f"{whole // large_s} {large_unit}" + (f" {rest} {small_unit}" if rest else "")
    raise AssertionError("unreachable: a minute or more has a unit")


def listed(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
