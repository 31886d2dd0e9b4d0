"""Figures as plotly's traces. In: documents of the analyses; out: JSON that figures.js draws.

Numbers are percent or points, as in the tables. A colour is the name of a custom property of tokens.css. Texts hold no
markup: the content security policy refuses what plotly makes of it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluator.release.paper_merges import PaperMerge, Role

Json = dict[str, Any]
BAND_OPACITY = 0.16


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve: which mean of a sweep it shows, its name and how it is told apart, also without colour."""

    name: str
    key: str
    colour: str
    dash: str
    symbol: str


TARGET = Series(name="inside the target", key="inside", colour="--series-target", dash="solid", symbol="circle")
OUTSIDE = Series(name="outside the target", key="outside", colour="--series-outside", dash="dash", symbol="square")
ALL = Series(name="all tasks (macro)", key="macro", colour="--series-all", dash="solid", symbol="diamond")
COARSE = Series(name="coarse tasks", key="coarse", colour="--series-target", dash="solid", symbol="circle")
FINE = Series(name="fine tasks", key="fine", colour="--series-outside", dash="dash", symbol="square")
PAPER_SYMBOLS = {Role.BASE: "star-open", Role.MERGE: "circle-open", Role.TUNED: "diamond-open"}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What plotly is given; figures.js adds fonts, margins and the theme."""

    data: list[Json]
    layout: Json

    def as_json(self) -> Json:
        """For the page."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Gain:
    """One model of the release-wide figure; fractions, each with its 95 % interval."""

    name: str
    base: str
    inside: dict[str, float]
    retained: dict[str, float]


def series_of(document: Json) -> list[Series]:
    """The curves of a sweep: target against other where a target domain is declared, else coarse against fine."""
    return [TARGET, OUTSIDE, ALL] if document["target"] is not None else [COARSE, FINE, ALL]


def measured(point: Json, key: str) -> Json | None:
    """A mean of one α: {estimate, low, high, delta}; None where nothing of it was measured."""
    found: Json | None = point[key] if key in ("inside", "outside") else point["aggregates"].get(key)
    return None if found is None or found.get("estimate") is None else found


def alpha_curve(document: Json) -> Figure:
    """Accuracy over α. A band is the paired interval of the difference to the base, drawn around it, so it is closed at
    α = 0; the ensemble of the same pair is a thin dotted line."""
    traces: list[Json] = []
    for series in series_of(document):
        traces += _curve(document["alphas"], series)
    ensemble = [(point["alpha"], point["aggregates"]["macro"]["estimate"]) for point in document["ensemble"]
                if point["aggregates"].get("macro")]  # fmt: skip
    if ensemble:
        traces.append({
            "x": [alpha for alpha, _ in ensemble], "y": [_percent(value) for _, value in ensemble], "mode": "lines",
            "name": "ensemble of both (macro)", "line": {"color": "--series-all", "width": 1.5, "dash": "dot"},
            "hovertemplate": "α %{x:.2f}: %{y:.1f}<extra></extra>",
        })  # fmt: skip
    return Figure(data=traces, layout=alpha_layout(document))


def alpha_layout(document: Json) -> Json:
    """Accuracy over α, with a mark where α was chosen."""
    layout: Json = {
        "xaxis": {"title": {"text": "α: share of the tuned model"}, "range": [-0.02, 1.02], "dtick": 0.2},
        "yaxis": {"title": {"text": f"accuracy on {document['split']}, %"}},
    }
    if (selected := document["selected_alpha"]) is not None:
        layout["shapes"] = [{
            "type": "line", "x0": selected, "x1": selected, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
            "line": {"color": "--muted", "width": 1.5, "dash": "dot"},
        }]  # fmt: skip
        layout["annotations"] = [{
            "x": selected, "y": 0, "yref": "paper", "yanchor": "bottom", "showarrow": False, "xshift": 5,
            "xanchor": "left", "font": {"color": "--muted"},
            "text": f"α = {selected:g}, chosen on {document['select_on']}",
        }]  # fmt: skip
    return layout


def _curve(points: list[Json], series: Series) -> list[Json]:
    """The band and the line of one series."""
    found = [(point["alpha"], value) for point in points if (value := measured(point, series.key))]
    if not found:
        return []
    *band, line = band_and_line(series, [alpha for alpha, _ in found])
    values = [value for _, value in found]
    base = next((value["estimate"] for alpha, value in found if alpha == 0), None)
    if base is None or any(value["delta"] is None for value in values):
        return [line | {"y": [_percent(value["estimate"]) for value in values]}]
    heights = band_heights(values, base)
    return [trace | {"y": own} for trace, own in zip((*band, line), heights, strict=True)]


def band_and_line(series: Series, alphas: list[float]) -> list[Json]:
    """How a series is drawn: the lower and the upper side of its band, then its line; their y are `band_heights`."""
    side = {"mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip", "x": alphas}
    line = {
        "x": alphas, "mode": "lines+markers", "name": series.name,
        "line": {"color": series.colour, "width": 2, "dash": series.dash},
        "marker": {"color": series.colour, "symbol": series.symbol, "size": 6},
        "hovertemplate": "α %{x:.2f}: %{y:.1f}<extra></extra>",
    }  # fmt: skip
    return [side, side | {"fill": "tonexty", "fillcolor": f"{series.colour}/{BAND_OPACITY}"}, line]


def band_heights(values: Sequence[Json], base: float) -> list[list[float]]:
    """y of `band_and_line` in percent, for {estimate, delta} at every α: the paired interval drawn around the base."""
    band = [[_percent(base + value["delta"][side]) for value in values] for side in ("low", "high")]
    return [*band, [_percent(value["estimate"]) for value in values]]


def frontier(document: Json, published: Sequence[PaperMerge]) -> Figure | None:
    """Inside against outside, one point per α from base to tuned; None without a target domain.

    published: the paper's pairs, drawn beside a second line whose y is all tasks, as theirs is.
    """
    if document["target"] is None:
        return None
    traces = [_path(document, OUTSIDE, "outside the target")]
    if published:
        traces.append(_path(document, ALL, "all tasks"))
        groups = [merge.group for merge in published]
        traces += [
            _published(merge, is_first=groups.index(merge.group) == place) for place, merge in enumerate(published)
        ]
    traces += _ends(document)
    y_title = "accuracy outside the target" + (" or on all" if published else "")
    layout: Json = {
        "xaxis": {"title": {"text": "accuracy inside the target, %"}}, "yaxis": {"title": {"text": f"{y_title}, %"}},
    }  # fmt: skip
    return Figure(data=traces, layout=layout)


def _path(document: Json, series: Series, name: str) -> Json:
    places = [(point["alpha"], _percent(inside["estimate"]), _percent(other["estimate"]))
              for point in document["alphas"]
              if (inside := measured(point, "inside")) and (other := measured(point, series.key))]  # fmt: skip
    return {
        "x": [x for _, x, _ in places], "y": [y for _, _, y in places], "mode": "lines+markers", "name": name,
        "customdata": [alpha for alpha, _, _ in places], "line": {"color": series.colour, "width": 1.5},
        "marker": {"color": series.colour, "size": 6, "symbol": series.symbol},
        "hovertemplate": "α %{customdata:.2f}: %{x:.1f} inside, %{y:.1f}<extra></extra>",
    }  # fmt: skip


def _ends(document: Json) -> list[Json]:
    """Base, tuned and the chosen merge, named on the figure."""
    names = {0.0: ("base", "top center"), 1.0: ("tuned", "bottom center")}
    if (selected := document["selected_alpha"]) is not None and selected not in names:
        names[selected] = (f"α = {selected:g}", "top right")
    places = [(names[point["alpha"]], inside, outside) for point in document["alphas"] if point["alpha"] in names
              and (inside := measured(point, "inside")) and (outside := measured(point, "outside"))]  # fmt: skip
    return [{
        "x": [_percent(inside["estimate"]) for _, inside, _ in places],
        "y": [_percent(outside["estimate"]) for _, _, outside in places], "mode": "markers+text",
        "text": [name for (name, _), _, _ in places], "textposition": [where for (_, where), _, _ in places],
        "marker": {"color": "--ground", "size": 12, "symbol": "circle", "line": {"color": "--ink", "width": 2}},
        "showlegend": False, "hoverinfo": "skip", "cliponaxis": False,
    }]  # fmt: skip


def _published(merge: PaperMerge, *, is_first: bool) -> Json:
    """One pair of the paper; the legend names each group once."""
    names = [point.name for point in merge.points]
    return {
        "x": [_percent(point.target) for point in merge.points], "y": [_percent(point.all) for point in merge.points],
        "mode": "lines+markers", "name": f"paper, {merge.group} tasks", "customdata": names,
        "legendgroup": merge.group, "showlegend": is_first,
        "line": {"color": "--series-paper", "width": 1, "dash": "dot" if merge.group == "coarse" else "solid"},
        "marker": {
            "color": "--series-paper", "size": 9, "symbol": [PAPER_SYMBOLS[point.role] for point in merge.points],
        },
        "hovertemplate": "paper, %{customdata}: %{x:.1f} on H&E, %{y:.1f} on all<extra></extra>",
    }  # fmt: skip


def gains(rows: Sequence[Gain]) -> Figure:
    """Retained share against gain in the target, one point per model, 95 % intervals on both axes."""
    trace: Json = {
        "x": [_percent(row.inside["estimate"]) for row in rows],
        "y": [_percent(row.retained["estimate"]) for row in rows],
        "error_x": _error([row.inside for row in rows]), "error_y": _error([row.retained for row in rows]),
        "mode": "markers+text", "text": [row.name for row in rows], "textposition": "top right", "cliponaxis": False,
        "customdata": [row.base for row in rows], "marker": {"color": "--point", "size": 8}, "showlegend": False,
        "hovertemplate": "%{text}, tuned from %{customdata}: gained %{x:.1f}, retained %{y:.0f} %<extra></extra>",
    }  # fmt: skip
    layout: Json = {
        "xaxis": {"title": {"text": "gain inside the target, points"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "retained share, %"}},
        "shapes": [{
            "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 100, "y1": 100, "layer": "below",
            "line": {"color": "--muted", "width": 1, "dash": "dash"},
        }],
    }  # fmt: skip
    return Figure(data=[trace], layout=layout)


def _error(values: Sequence[dict[str, float]]) -> Json:
    return {
        "type": "data", "symmetric": False, "color": "--interval", "thickness": 1.5, "width": 4,
        "array": [_percent(value["high"] - value["estimate"]) for value in values],
        "arrayminus": [_percent(value["estimate"] - value["low"]) for value in values],
    }  # fmt: skip


def _percent(fraction: float) -> float:
    return round(fraction * 100, 2)
