"""What a tuned model forgot, as words and tables. In: a forgetting document; out: what the model page shows of it."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from evaluator.release.schema import DatasetInfo
from evaluator.release.tasks import task_title
from leaderboard.boards.names import FACET_TITLES
from leaderboard.numbers import percent, points, points_interval

LEVEL = 0.05  # of Holm's adjusted p
STEPS = (0.01, 0.05, 0.1, 0.2)  # where the next stronger colour of a Δ cell begins
SIDES = {"all": "all images", "inside": "inside the target", "outside": "outside the target"}


def shown(document: dict[str, Any], datasets: dict[str, DatasetInfo]) -> dict[str, Any]:
    """Headline, matrix, facets and notes. `datasets`: the release's."""
    headline = document["headline"]
    has_target = document["target"] is not None
    return {
        "split": document["split"], "headline": headline, "figures": _figures(headline, has_target=has_target),
        "sentences": sentences(headline, has_target=has_target),
        "matrix": _matrix(document["tasks"], datasets, has_target=has_target), "facets": _facets(document["facets"]),
        "positive": _positive(headline["positive_part"]), "wording": _wording(document),
        "retained_tasks": [task_title(task, datasets) for task in headline["retained_share"]["tasks"] or ()],
        "missing": {side: [task_title(task, datasets) for task in tasks]
                    for side, tasks in document["missing"].items() if tasks},
        "states": _states(document["tasks"], document["facets"]),
    }  # fmt: skip


def target_words(target: Mapping[str, list[str]] | None) -> str:
    """'domain pathology · stain H&E or IHC'; empty where no target domain was declared."""
    if not target:
        return ""
    return " · ".join(f"{FACET_TITLES[facet]} {' or '.join(values)}" for facet in FACET_TITLES
                       if (values := target.get(facet)))  # fmt: skip


def sentences(headline: dict[str, Any], *, has_target: bool) -> list[str]:
    """The headline in plain words, each claim as strong as its interval."""
    where = "Outside its target domain" if has_target else "Over all tasks"
    found = [_outside_words(headline["outside"]["delta"], where)]
    if has_target and headline["inside"] is not None:
        found.append(_inside_words(headline["inside"]["delta"]))
    found.append(_retained_words(headline["retained_share"], has_target=has_target))
    return found


def _figures(headline: dict[str, Any], *, has_target: bool) -> list[dict[str, str]]:
    """The large numbers on top: what was measured, with its interval; what could not be is left to the sentences."""
    names = {"outside": "Δ outside the target, points" if has_target else "Δ over all tasks, points",
             "inside": "Δ inside the target, points"}  # fmt: skip
    found = [
        {"name": name, "value": points(delta["estimate"]), "interval": points_interval(delta["low"], delta["high"])}
        for side, name in names.items()
        if headline[side] is not None and (delta := headline[side]["delta"])["estimate"] is not None
    ]  # fmt: skip
    if (share := headline["retained_share"])["estimate"] is not None:
        low, high = percent(share["low"]), percent(share["high"])
        found.append({"name": "retained share, %", "value": percent(share["estimate"]), "interval": f"{low}–{high}"})
    return found


def _outside_words(delta: dict[str, float | None] | None, where: str) -> str:
    low, estimate, high = _bounds(delta)
    if estimate is None or low is None or high is None:
        return f"{where} no task has 10 sources or more, so no mean is given."
    interval = f"95\u00a0% interval {points_interval(low, high)}"
    if high < 0:
        return f"{where} it lost {percent(-estimate)} points against its base: significant ({interval})."
    if low > 0:
        return f"{where} it is {percent(estimate)} points better than its base: significant ({interval})."
    return (f"{where} the change of {points(estimate)} points is not significant ({interval}): a loss of up to "
            f"{percent(-low)} points cannot be ruled out.")  # fmt: skip


def _inside_words(delta: dict[str, float | None] | None) -> str:
    low, estimate, high = _bounds(delta)
    if estimate is None or low is None or high is None:
        return "Inside it no task has 10 sources or more, so no mean is given."
    interval = f"{points_interval(low, high)}"
    if low > 0:
        return f"Inside it gained {percent(estimate)} points: significant ({interval})."
    if high < 0:
        return f"Inside it lost {percent(-estimate)} points as well: significant ({interval})."
    return f"Inside the change of {points(estimate)} points is not significant ({interval})."


def _retained_words(share: dict[str, Any], *, has_target: bool) -> str:
    beside = " outside the target" if has_target else ""
    if share["estimate"] is None:
        return f"No retained share is given: on no task{beside} is the base significantly above chance."
    n, low, high = share["n_tasks"], _share(share["low"]), _share(share["high"])
    return (f"It retained {_share(share['estimate'])}\u00a0% of what its base knew above chance "
            f"({low} to {high}\u00a0%, {n} task{'' if n == 1 else 's'}).")  # fmt: skip


def _share(fraction: float) -> str:
    return f"{fraction * 100:.0f}".replace("-", "−")


def _bounds(delta: dict[str, float | None] | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if delta is None else (delta["low"], delta["estimate"], delta["high"])


def shown_cell(cell: dict[str, Any] | None) -> dict[str, Any] | None:
    """A cell with the class of its colour and whether Holm's correction leaves it significant; None: no items."""
    if cell is None or not cell["n_questions"]:
        return None
    if cell["withheld"] or cell["delta"] is None or cell["delta"]["estimate"] is None:
        return {**cell, "delta": None, "css": "", "significant": False}
    significant = cell["p_holm"] is not None and cell["p_holm"] < LEVEL
    return {**cell, "css": tint(cell["delta"]["estimate"]), "significant": significant}


def tint(delta: float) -> str:
    """The class of a Δ cell: gain1 … gain4, loss1 … loss4 (forgetting.css), or nothing below a point."""
    step = sum(abs(delta) >= least for least in STEPS)
    return f"{'gain' if delta > 0 else 'loss'}{step}" if step else ""


def _matrix(tasks: list[dict[str, Any]], datasets: dict[str, DatasetInfo], *, has_target: bool) -> dict[str, Any]:
    """Tasks as columns under their groups; one row of Δ per side of the target domain."""
    columns = [
        {"slug": task["task"], "title": task_title(task["task"], datasets), "group": task["group"],
         "is_first": place == 0 or task["group"] != tasks[place - 1]["group"], "all": shown_cell(task["all"])}
        for place, task in enumerate(tasks)
    ]  # fmt: skip
    rows = [
        {"name": name, "cells": [(column, shown_cell(task[side])) for column, task in zip(columns, tasks, strict=True)]}
        for side, name in SIDES.items() if has_target or side == "all"
    ]  # fmt: skip
    groups = [{"name": group, "span": len(list(members))}
              for group, members in groupby(tasks, key=lambda task: task["group"])]  # fmt: skip
    return {"columns": columns, "groups": groups, "rows": rows}


def _facets(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The facet table: values under their facets, those without any cell left out."""
    rows = [
        {"facet": FACET_TITLES[row["facet"]], "value": row["value"], "fine": shown_cell(row["fine"]),
         "coarse": shown_cell(row["coarse"])}
        for row in cells
    ]  # fmt: skip
    kept = [row for row in rows if row["fine"] or row["coarse"]]
    return [{"facet": facet, "rows": list(members)} for facet, members in groupby(kept, key=lambda row: row["facet"])]


def _positive(part: dict[str, Any]) -> dict[str, Any] | None:
    """The positive part, only where what chance alone gives is known: by itself it is biased upward."""
    return None if part["estimate"] is None or part["expected"] is None else part


def _states(tasks: list[dict[str, Any]], facets: list[dict[str, Any]]) -> dict[str, bool]:
    """Which marks occur and so need their line in the legend."""
    cells = [task[side] for task in tasks for side in SIDES] + [row[kind] for row in facets for kind in FACET_KINDS]
    there = [cell for cell in cells if cell is not None]
    return {
        "withheld": any(cell["withheld"] for cell in there),
        "too_few": any(cell["too_few"] and not cell["withheld"] for cell in there),
    }  # fmt: skip


FACET_KINDS = ("fine", "coarse")


def _wording(document: dict[str, Any]) -> str:
    """In which form both sides were asked."""
    variant = document["variant"]
    return "question form" if variant is None else f"caption wording {variant}"
