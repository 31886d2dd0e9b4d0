"""Which strategy spends labels best, in words and tables. In: comparisons; out: what the page shows of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from evaluator.active_learning.names import Start, Strategy
from evaluator.analyses.labels.labels_to import Reached
from evaluator.errors import InputError
from leaderboard.label_efficiency.rows import Comparison, Comparisons
from leaderboard.numbers import MINUS, MISSING, count, points, position
from leaderboard.pages.figures import Json
from leaderboard.pages.labels import learning_figures
from leaderboard.pages.labels.strategy_words import START_TITLES, STRATEGIES

LEVEL = 0.05
STEPS = (0.05, 0.25, 0.5, 0.75)  # of the budgets, where the next stronger colour of a cell of the matrix begins
SCALE_STEPS = (0.02, 0.05, 0.1, 0.2, 0.5)  # the widest gain that the drawn scale reaches: the first that holds all


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A gain with its interval on the column's common scale, 0 in the middle; SVG lengths."""

    point: str
    left: str
    width: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a reader asks to see; empty: left to us."""

    dataset: str = ""
    encoder: str = ""
    start: str = ""

    def fits(self, comparison: Comparison) -> bool:
        """Whether the comparison is one that was asked for."""
        own = {"dataset": comparison.dataset, "encoder": comparison.encoder, "start": comparison.start}
        return all(asked in ("", own[name]) for name, asked in vars(self).items())


def read_choice(query: QueryDict, known: Comparisons) -> Choice:
    """The choice of a query string. Raises InputError for a name that is not there to choose."""
    offered: dict[str, list[str]] = {
        "dataset": [slug for slug, _ in known.datasets], "encoder": [slug for slug, _ in known.encoders],
        "start": [start.value for start in Start],
    }  # fmt: skip
    for name, values in offered.items():
        asked = query.get(name, "")
        if asked and asked not in values:
            there = ", ".join(values) or "none yet"
            raise InputError.single(f"unknown_{name}", f"There is no {name} {asked!r}; there is: {there}.", field=name)
    return Choice(**{name: query.get(name, "") for name in offered})


def context_of(known: Comparisons, choice: Choice) -> dict[str, Any]:
    """The comparison that answers the choice, and where that is a pooled one, a single one whose curves are drawn."""
    found = chosen(known, choice)
    if found is None:
        return {"comparison": None}
    example = found if found.dataset else next(
        (each for each in known.found if each.dataset and each.start == found.start), None)  # fmt: skip
    query = urlencode({name: getattr(found, name) or "" for name in ("dataset", "encoder", "start")})
    curves = None if example is None else shown(example.document)
    return {
        "comparison": found, "query": query, "shown": shown(found.document), "answer": best_words(found.document),
        "example": example, "curves": curves, "has_figures": bool(curves and curves["figure"]),
        "singles": [each for each in known.found if each.dataset and each.start == found.start],
    }  # fmt: skip


def chosen(known: Comparisons, choice: Choice) -> Comparison | None:
    """The first that fits: pooled where neither dataset nor encoder is named and there is more than one to pool; from a
    random start where none is named. None: that combination was not compared."""
    fitting = [each for each in known.found if choice.fits(each)]
    singles = [each for each in fitting if each.dataset]
    pool = fitting if len({(each.dataset, each.encoder) for each in singles}) > 1 else singles or fitting
    return min(pool, key=lambda each: each.start != Start.RANDOM, default=None)


def fields(known: Comparisons, choice: Choice) -> list[dict[str, Any]]:
    """The three lists to choose from, each set to what is shown."""
    found = chosen(known, choice)
    shown_now = {"dataset": (found and found.dataset) or choice.dataset, "encoder": (found and found.encoder)
                 or choice.encoder, "start": found.start if found else choice.start}  # fmt: skip
    starts = [(each.value, START_TITLES[each]) for each in Start if any(one.start == each for one in known.found)]
    offered = {"dataset": ("dataset", "all together", known.datasets),
               "encoder": ("encoder", "all together", known.encoders), "start": ("start", "", starts)}  # fmt: skip
    return [
        {"name": name, "title": title, "blank": blank,
         "options": [{"value": value, "title": text, "chosen": value == shown_now[name]} for value, text in options]}
        for name, (title, blank, options) in offered.items()
    ]  # fmt: skip


def shown(document: Json) -> dict[str, Any]:
    """The table, the matrix and, of one dataset and encoder, the curves. `document`: a comparison, pooled or not."""
    ordered = sorted(document["strategies"], key=lambda each: each["mean_rank"])
    reach = _reach(ordered)
    places = [document["strategies"].index(each) for each in ordered]
    return {
        "rows": [_row(each, ordered, place, reach) for place, each in enumerate(ordered)],
        "ticks": _ticks(reach), "seeds": document["seeds"],
        "matrix": _matrix([each["strategy"] for each in ordered], document["penalty"], places),
        "left_out": [Strategy(name).display_name for name in document.get("left_out", ())],
        "n_datasets": len(document.get("datasets", ())), "n_encoders": len(document.get("encoders", ())),
        "figure": _figure(ordered), "curve_rows": _curve_rows(ordered), "names": [_title(each) for each in ordered],
    }  # fmt: skip


def best_words(document: Json) -> str:
    """The answer in a sentence: who beats random significantly, and by how much at best."""
    others = [each for each in document["strategies"] if each["over_random"]]
    told = [each for each in others if _is_significant(each["over_random"])]
    better = [each for each in told if each["over_random"]["estimate"] > 0]
    n_worse = len(told) - len(better)
    if not better:
        worse = f"; {n_worse} {'is' if n_worse == 1 else 'are'} significantly worse" if n_worse else ""
        return f"None of {len(others)} strategies is significantly better than random choice here{worse}."
    worse = f", {n_worse} significantly worse" if n_worse else ""
    best = max(better, key=lambda each: each["over_random"]["estimate"])
    is_are = "is" if len(better) == 1 else "are"
    return (f"{len(better)} of {len(others)} strategies {is_are} significantly better than random choice{worse}; "
            f"{_title(best)} gains most.")  # fmt: skip


def _title(entry: Json) -> str:
    return Strategy(entry["strategy"]).display_name


def _reach(entries: Sequence[Json]) -> float:
    """Half the width of the drawn scale, a fraction."""
    ends = [abs(each["over_random"][side]) for each in entries if each["over_random"] for side in ("low", "high")]
    return next((step for step in SCALE_STEPS if step >= max(ends, default=0.0)), 1.0)


def _ticks(reach: float) -> list[dict[str, str]]:
    """Labels of the drawn scale, in points."""
    return [{"at": position(0.5 + share / 2 * TICK_SHARE), "text": points(share * TICK_SHARE * reach)}
            for share in (-1, 0, 1)]  # fmt: skip


TICK_SHARE = 0.8  # how far from the middle the outer labels stand


def _row(entry: Json, ordered: Sequence[Json], place: int, reach: float) -> dict[str, Any]:
    before = ordered[place - 1] if place else None
    after = ordered[place + 1] if place + 1 < len(ordered) else None
    gain = entry["over_random"]
    return entry | {
        "title": _title(entry), "says": STRATEGIES[Strategy(entry["strategy"])],
        "is_random": entry["strategy"] == Strategy.RANDOM, "drawn": asdict(_draw(gain, reach)) if gain else None,
        "significant": _is_significant(gain),
        "p": _p_words(gain["p"]) if gain else MISSING, "saving": _saving(entry["label_saving"]),
        "all_classes": _all_classes(entry.get("all_classes_by")),
        "is_first": before is None or before["group"] != entry["group"],
        "is_last": after is None or after["group"] != entry["group"],
    }  # fmt: skip


def _p_words(p: float) -> str:
    """'.012', '< .001': three digits are all that 20 seeds support."""
    return "<\u00a0.001" if p < LEAST_P else f"{p:.3f}".removeprefix("0")


LEAST_P = 0.001


def _is_significant(gain: Json | None) -> bool:
    return gain is not None and gain["p"] < LEVEL


def _saving(saving: Json | None) -> str:
    """'2.1'; 'at least' where the first budget was enough already."""
    state = "" if saving is None else saving.get("state", "")
    if saving is None or saving["ratio"] is None:
        return str(state) or MISSING
    at_least = "≥\u00a0" if state == Reached.AT_ONCE else ""
    return f"{at_least}{saving['ratio']:.1f}"


def _all_classes(found: Json | None) -> dict[str, str]:
    """'18'; where some seed never saw them all, in how many they were seen."""
    if found is None:
        return {"text": MISSING}
    if found["labels"] is None:
        return {"text": "not always", "beside": f"in {found['share'] * 100:.0f}\u00a0% of seeds"}
    return {"text": count(round(found["labels"]))}


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
    text = f"{net * 100:+.0f}".replace("-", MINUS) if step else "0"
    css = f"{'gain' if net > 0 else 'loss'}{step}" if step else ""
    return {"wins": wins, "losses": losses, "text": text, "css": css}


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
