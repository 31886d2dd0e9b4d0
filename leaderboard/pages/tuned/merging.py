"""Merging a model with its base, as words, figures and a table. In: an interpolation document; out: what is shown."""

from collections.abc import Sequence
from typing import Any

from evaluator.release.paper_merges import PaperMerge
from evaluator.release.schema import DatasetInfo
from leaderboard.numbers import percent, points, points_interval
from leaderboard.pages import figures
from leaderboard.pages.tuned import curves

MEANS = {"macro": "all tasks", "inside": "inside", "outside": "outside"}
BEST, WITHIN = "best_macro", "within_one_point"
RULES = {BEST: "Best overall on dev", WITHIN: "Best overall that keeps the target"}
RULE_WORDS = {
    BEST: "The α with the best macro accuracy on dev; of equals the smallest.",
    WITHIN: "The α with the best macro accuracy on dev among those that lose at most one point against "
    "the tuned model inside the target.",
}


def shown(
    document: dict[str, Any], datasets: dict[str, DatasetInfo], published: Sequence[PaperMerge] = ()
) -> dict[str, Any]:
    """Answer, rules, figures and tables. `datasets`: the release's; `published`: the paper's pairs to draw beside."""
    series = figures.series_of(document)
    frontier = figures.frontier(document, published)
    return {
        "split": document["split"], "select_on": document["select_on"], "selected_alpha": document["selected_alpha"],
        "figures": _figures(document), "sentences": sentences(document), "rules": _rules(document),
        "no_second_rule": "" if _chosen(document, WITHIN) else _reason(document),
        "curve": figures.alpha_curve(document).as_json(), "frontier": frontier and frontier.as_json(),
        "published": bool(published), "series": [each.name for each in series], "rows": _rows(document, series),
        "single": curves.shown(document, datasets), "broken": document["broken"], "merge": document["merge"],
        "has_dev": bool(document["dev"]), "has_ensemble": bool(document["ensemble"]),
        "choices": [point["alpha"] for point in document["alphas"] if 0 < point["alpha"] < 1],
    }  # fmt: skip


def sentences(document: dict[str, Any]) -> list[str]:
    """What merging gives, each claim as strong as its paired interval."""
    chosen = _chosen(document, BEST)
    if chosen is None:
        return ["No α is chosen: the release has no dev split to choose it on."]
    alpha, parents = chosen["alpha"], (("vs_base", "its base"), ("vs_tuned", "this model"))
    if alpha in (0, 1):
        which = "the base itself" if alpha == 0 else "this model itself"
        return [f"On dev nothing between the two beats {which} (α = {alpha:g}), so a merge is not advised."]
    score = percent(_value(chosen["macro"]))
    found = [f"At α = {alpha:g}, chosen on {document['select_on']}, the merge scores {score} on {document['split']}, "
             "all tasks."]  # fmt: skip
    found += [_against(chosen[key]["macro"], name) for key, name in parents if chosen[key]["macro"] is not None]
    return found


def _figures(document: dict[str, Any]) -> list[dict[str, str]]:
    """The large numbers on top: what the chosen merge scores, and how far it is from its parents."""
    chosen = _chosen(document, BEST)
    if chosen is None or chosen["alpha"] in (0, 1):
        return []
    macro = chosen["macro"]
    interval = f"{percent(macro['low'])}–{percent(macro['high'])}"
    found = [{"name": f"merge at α = {chosen['alpha']:g}, all tasks of {document['split']}",
              "value": percent(_value(macro)), "interval": interval}]  # fmt: skip
    for key, name in (("vs_base", "its base"), ("vs_tuned", "this model")):
        if (difference := chosen[key]["macro"]) is not None:
            found.append({"name": f"against {name}, points", "value": points(difference["estimate"]),
                          "interval": points_interval(difference["low"], difference["high"])})  # fmt: skip
    return found


def _against(difference: dict[str, float], parent: str) -> str:
    low, high = difference["low"], difference["high"]
    interval = f"95\u00a0% interval {points_interval(low, high)}"
    verdict = "significantly better" if low > 0 else "significantly worse" if high < 0 else "not significant"
    return f"That is {points(difference['estimate'])} points against {parent} ({interval}): {verdict}."


def _chosen(document: dict[str, Any], rule: str) -> dict[str, Any] | None:
    """What a rule chose; None without a split to choose on, or where the rule cannot be applied."""
    found: dict[str, Any] | None = (document["selected"] or {}).get(rule)
    return found


def _value(measured: dict[str, Any] | None) -> float | None:
    return None if measured is None else measured["estimate"]


def _rules(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Each selection rule with its α and the means of the reported split, beside both parents."""
    found = []
    for rule, title in RULES.items():
        chosen = _chosen(document, rule)
        if chosen is None:
            continue
        means = [
            {"name": name, "value": _value(chosen[key]),
             "differences": [chosen["vs_base"][key], chosen["vs_tuned"][key]]}
            for key, name in MEANS.items() if _value(chosen[key]) is not None
        ]  # fmt: skip
        found.append({"title": title, "words": RULE_WORDS[rule], "alpha": chosen["alpha"], "means": means})
    return found


def _reason(document: dict[str, Any]) -> str:
    return (document["selected"] or {}).get("within_one_point_reason") or ""


def _rows(document: dict[str, Any], series: Sequence[figures.Series]) -> list[dict[str, Any]]:
    """The table under the figures: one row per α."""
    dev = {point["alpha"]: point for point in document["dev"]}
    ensemble = {point["alpha"]: point["aggregates"].get("macro") for point in document["ensemble"]}
    return [
        {
            "alpha": point["alpha"], "means": [figures.measured(point, each.key) for each in series],
            "dev": dev.get(point["alpha"], {}).get("macro"), "ensemble": _value(ensemble.get(point["alpha"])),
            "chosen": point["alpha"] == document["selected_alpha"],
        }
        for point in document["alphas"]
    ]  # fmt: skip
