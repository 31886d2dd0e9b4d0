"""Which strategy spends labels best, in words and tables. In: comparison documents; out: what the page shows of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluator.active_learning.names import Start, Strategy
from leaderboard.numbers import position
from leaderboard.pages import learning_figures
from leaderboard.pages.figures import Json
from leaderboard.pages.strategy_words import STRATEGIES

LEVEL = 0.05
STEPS = (0.05, 0.25, 0.5, 0.75)  # of the budgets, where the next stronger colour of a cell of the matrix begins
SCALE_STEPS = (0.02, 0.05, 0.1, 0.2, 0.5)  # the widest gain that the drawn scale reaches: the first that holds all


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A gain with its interval on the column's common scale, 0 in the middle; SVG lengths."""

    point: str
    left: str
    width: str


def shown(document: Json) -> dict[str, Any]:
    """The table, the matrix and, of one dataset and encoder, the curves. `document`: a comparison, pooled or not."""
    ordered = sorted(document["strategies"], key=lambda each: each["mean_rank"])
    reach = _reach(ordered)
    places = [document["strategies"].index(each) for each in ordered]
    return {
        "rows": [_row(each, ordered, place, reach) for place, each in enumerate(ordered)],
        "reach": reach, "matrix": _matrix([each["strategy"] for each in ordered], document["penalty"], places),
        "figure": _figure(ordered), "curve_rows": _curve_rows(ordered), "names": [_title(each) for each in ordered],
    }  # fmt: skip


def best_words(document: Json) -> str:
    """The answer in a sentence: who beats random significantly, and by how much at best."""
    others = [each for each in document["strategies"] if each["strategy"] != Strategy.RANDOM and each["over_random"]]
    better = [each for each in others if each["over_random"]["low"] > 0]
    if not better:
        return "No strategy is significantly better than random choice here."
    best = max(better, key=lambda each: each["over_random"]["estimate"])
    return (f"{len(better)} of {len(others)} strategies are significantly better than random choice; "
            f"{_title(best)} gains most.")  # fmt: skip


def _title(entry: Json) -> str:
    return Strategy(entry["strategy"]).display_name


def _reach(entries: Sequence[Json]) -> float:
    """Half the width of the drawn scale, a fraction."""
    ends = [abs(each["over_random"][side]) for each in entries if each["over_random"] for side in ("low", "high")]
    return next((step for step in SCALE_STEPS if step >= max(ends, default=0.0)), 1.0)


def _row(entry: Json, ordered: Sequence[Json], place: int, reach: float) -> dict[str, Any]:
    before = ordered[place - 1] if place else None
    after = ordered[place + 1] if place + 1 < len(ordered) else None
    gain = entry["over_random"]
    return entry | {
        "title": _title(entry), "says": STRATEGIES[Strategy(entry["strategy"])],
        "is_random": entry["strategy"] == Strategy.RANDOM, "drawn": asdict(_draw(gain, reach)) if gain else None,
        "significant": bool(gain) and gain["p"] is not None and gain["p"] < LEVEL,
        "is_first": before is None or before["group"] != entry["group"],
        "is_last": after is None or after["group"] != entry["group"],
    }  # fmt: skip


def _draw(gain: Json, reach: float) -> Drawn:
    low, estimate, high = (0.5 + gain[side] / reach / 2 for side in ("low", "estimate", "high"))
    return Drawn(point=position(estimate), left=position(low), width=position(high - low))


def _matrix(names: Sequence[str], penalty: Sequence[Sequence[float]], places: Sequence[int]) -> list[dict[str, Any]]:
    """Rows against columns in the order of the table: at which share of the budgets more the row beats the column."""
    rows = []
    for name, i in zip(names, places, strict=True):
        cells = [None if i == j else _cell(penalty[i][j], penalty[j][i]) for j in places]
        rows.append({"title": Strategy(name).display_name, "cells": cells})
    return rows


def _cell(wins: float, losses: float) -> dict[str, Any]:
    net = wins - losses
    step = sum(abs(net) >= least for least in STEPS)
    return {"wins": wins, "losses": losses, "net": net, "css": f"{'gain' if net > 0 else 'loss'}{step}" if step else ""}


def _figure(entries: Sequence[Json]) -> Json | None:
    drawn = [
        learning_figures.Named(
            name=_title(each), labels=[point["labels"] for point in each["curve"]],
            scores=[point["balanced_accuracy"]["estimate"] for point in each["curve"]],
        )
        for each in entries if each.get("curve")
    ]  # fmt: skip
    reference = Strategy.RANDOM.display_name
    return learning_figures.curves(drawn, "labels held", reference=reference) if drawn else None


def _curve_rows(entries: Sequence[Json]) -> list[dict[str, Any]]:
    """A row per number of labels: the score of every strategy there."""
    held = [each for each in entries if each.get("curve")]
    labels = sorted({point["labels"] for each in held for point in each["curve"]})
    scores = [{point["labels"]: point["balanced_accuracy"] for point in each["curve"]} for each in held]
    return [{"labels": each, "cells": [own.get(each) for own in scores]} for each in labels]


def start_of(name: str) -> Start | None:
    """The start that a query string names; None where there is no such."""
    return Start(name) if name in list(Start) else None
