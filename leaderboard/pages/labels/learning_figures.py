"""Learning curves as plotly's traces. In: named curves; out: JSON that figures.js draws (see pages.figures)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaderboard.pages.figures import Json

COLOURS = tuple(f"--series-{number}" for number in range(1, 7))
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
DASHES = ("solid", "dash")  # the second round of colours is dashed
MOST_DRAWN = len(COLOURS) * len(DASHES)  # more curves cannot be told apart
DECIMALS = 1  # of a percent: a pixel or so of the figure


@dataclass(frozen=True, kw_only=True)
class Named:
    """One curve: scores (fractions) at numbers of labels; `level`: its zero-shot score, drawn across where known."""

    name: str
    labels: Sequence[float]
    scores: Sequence[float]
    level: float | None = None


def choice_of_curves(curves: Mapping[str, Sequence[Named]], x_title: str) -> Json:
    """One figure from which a reader chooses a key of `curves`; the same name is drawn alike under every key."""
    names = list(dict.fromkeys(curve.name for each in curves.values() for curve in each))
    ticks = sorted({labels for each in curves.values() for curve in each for labels in curve.labels})
    return {
        "series": {name: _traces(name, place, ticks) for place, name in enumerate(names)},
        "choices": {key: {curve.name: _heights(curve, ticks) for curve in each} for key, each in curves.items()},
        "layout": _layout(x_title, ticks, "log"),
    }  # fmt: skip


def without_choice(figure: Json, key: str) -> Json:
    """The figure with the curves of one key alone."""
    data = [trace | {"y": heights} for name, own in figure["choices"][key].items()
            for trace, heights in zip(figure["series"][name], own, strict=True)]  # fmt: skip
    return {"data": data, "layout": figure["layout"]}


def curves(drawn: Sequence[Named], x_title: str, *, reference: str = "") -> Json:
    """Curves on one linear axis of labels; `reference`: the name of the one that is drawn in ink, thicker than all."""
    names = [curve.name for curve in drawn if curve.name != reference]
    data = []
    for curve in drawn:
        style = _style(names.index(curve.name)) if curve.name != reference else REFERENCE
        heights = [_percent(each) for each in curve.scores]
        data.append(_line(curve.name, style) | {"x": list(curve.labels), "y": heights})
    return {"data": data, "layout": _layout(x_title, sorted({x for curve in drawn for x in curve.labels}), "linear")}


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one curve is told from the others, also without colour."""

    colour: str
    symbol: str
    dash: str
    width: float = 2


REFERENCE = Style(colour="--ink", symbol="circle-open", dash="dot", width=2.5)


def _style(place: int) -> Style:
    round_, hue = divmod(place % MOST_DRAWN, len(COLOURS))
    return Style(colour=COLOURS[hue], symbol=SYMBOLS[(hue + round_) % len(SYMBOLS)], dash=DASHES[round_])


def _traces(name: str, place: int, ticks: Sequence[float]) -> list[Json]:
    """The curve, and its zero-shot level from end to end."""
    style = _style(place)
    level = {
        "x": [ticks[0], ticks[-1]], "mode": "lines", "showlegend": False, "hoverinfo": "skip",
        "line": {"color": f"{style.colour}/0.9", "width": 1.25, "dash": "5px,4px"},
    }  # fmt: skip
    return [level, _line(name, style) | {"x": list(ticks)}]


def _heights(curve: Named, ticks: Sequence[float]) -> list[list[float | None]]:
    """y of the level and of the curve; null where it has no such budget."""
    scores = dict(zip(curve.labels, curve.scores, strict=True))
    level = None if curve.level is None else _percent(curve.level)
    return [[level, level], [_percent(scores[tick]) if tick in scores else None for tick in ticks]]


def _line(name: str, style: Style) -> Json:
    return {
        "mode": "lines+markers", "name": name,
        "line": {"color": style.colour, "width": style.width, "dash": style.dash},
        "marker": {"color": style.colour, "symbol": style.symbol, "size": 7},
        "hovertemplate": f"{_plain(name)}, %{{x}}: %{{y:.1f}}<extra></extra>",
    }  # fmt: skip


def _plain(name: str) -> str:
    """A name inside a template of plotly's, where braces and angle brackets mean something."""
    return name.translate(str.maketrans("", "", "%{}<>"))


def _layout(x_title: str, ticks: Sequence[float], kind: str) -> Json:
    """Doubling labels stand at equal steps, on the scale that all figures of a board share."""
    height: Json = {"range": [0, 100]} if kind == "log" else {}
    return {
        "xaxis": {"title": {"text": x_title}, "type": kind, "tickvals": list(ticks),
                  "ticktext": [f"{x:g}" for x in ticks]},
        "yaxis": {"title": {"text": "balanced accuracy, %"}} | height,
    }  # fmt: skip


def _percent(fraction: float) -> float:
    return round(fraction * 100, DECIMALS)
