"""Small curves of label efficiency as SVG, drawn by the server without scripts. In: documents; out: coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

Json = dict[str, Any]
WIDTH, HEIGHT = 320, 190  # of the view box; tall enough for its words at the width of a phone
LEFT, RIGHT, TOP, BOTTOM = 30, 12, 8, 24
DOT = 3.0  # half the size of a marker


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A line of the grid with its label."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One series: the corners of its line, and of its band where it has one."""

    points: list[tuple[float, float]]
    band: str = ""

    @property
    def line(self) -> str:
        """As the `points` of a polyline."""
        return _joined(self.points)


@dataclass(frozen=True, kw_only=True)
class SmallCurve:
    """All that one drawing shows. Heights of level lines are None where the document has no such score."""

    same: Curve
    own: Curve
    zero_shot: float | None
    ceiling: float | None
    chance: float
    per_class: list[Tick]
    percent: list[Tick]
    box: tuple[int, int, int, int] = (LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
    size: tuple[int, int] = (WIDTH, HEIGHT)


def draw(document: Json, widest: Sequence[int]) -> SmallCurve | None:
    """Balanced accuracy by labels per class, doubling from tick to tick; `widest`: the budgets per class that all
    drawings of a page share. None where the document has no budget."""
    budgets = document["budgets"]
    if not budgets:
        return None
    places = [_x(each["per_class"], widest) for each in budgets]
    same = [each["same"]["balanced_accuracy"] for each in budgets]
    own = [each["own"]["balanced_accuracy"] for each in budgets]
    return SmallCurve(
        same=Curve(points=_points(places, same, "estimate"), band=_band(places, same)),
        own=Curve(points=_points(places, own, "estimate")),
        zero_shot=_level(document["zero_shot"]), ceiling=_level(document["ceiling"]),
        chance=_y(1 / document["n_classes"]),
        per_class=[Tick(at=_x(each, widest), text=str(each)) for each in widest],
        percent=[Tick(at=_y(each / 100), text=str(each)) for each in (0, 25, 50, 75, 100)],
    )  # fmt: skip


def _points(places: Sequence[float], scores: Sequence[Json], side: str) -> list[tuple[float, float]]:
    return [(x, _y(score[side])) for x, score in zip(places, scores, strict=True)]


def _band(places: Sequence[float], scores: Sequence[Json]) -> str:
    low, high = _points(places, scores, "low"), _points(places, scores, "high")
    return _joined([*low, *reversed(high)])


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _level(score: Json | None) -> float | None:
    return None if score is None else _y(score["balanced_accuracy"]["estimate"])


def _x(per_class: int, widest: Sequence[int]) -> float:
    first, last = log2(min(widest)), log2(max(widest))
    share = (log2(per_class) - first) / (last - first) if last > first else 0.5
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)


def _y(fraction: float) -> float:
    shown = min(max(fraction, 0.0), 1.0)
    return round(HEIGHT - BOTTOM - shown * (HEIGHT - TOP - BOTTOM), 1)
