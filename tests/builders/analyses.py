"""Made-up documents of the analyses, in the shape of forgetting.json and interpolation.json, for tests of pages."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COARSE = tuple(f"coarse-{kind}" for kind in ("domain", "subdomain", "modality", "submodality", "stain"))
FINE = ("cells_a", "cells_b")
TARGET = {"domain": ["pathology"], "stain": ["hematoxylin and eosin"]}
LIVELIEST = "coarse-modality"  # of a sweep's tasks
INSIDE_TASKS = frozenset({"cells_a", "coarse-stain", "coarse-domain"})
ALPHAS = tuple(round(step / 20, 6) for step in range(21))
HEAD = {
    "release": {"name": "Tiny", "version": "1.0", "hash": "0" * 64}, "split": "test", "key_revision": 1, "variant": 1,
    "version": "1",
}  # fmt: skip


def change(estimate: float, half_width: float = 0.04) -> dict[str, float]:
    """An interval around an estimate."""
    low, high = round(estimate - half_width, 6), round(estimate + half_width, 6)
    return {"estimate": round(estimate, 6), "low": low, "high": high}


def cell(base: float, delta: float, half_width: float = 0.04, **fields: Any) -> dict[str, Any]:
    """One task on one side of the target domain."""
    p = 0.0004 if abs(delta) > half_width else 0.4
    lost, gained = max(0, round(-300 * delta)) + 9, max(0, round(300 * delta)) + 9
    made = {
        "base": round(base, 6), "tuned": round(base + delta, 6), "delta": change(delta, half_width), "p": p,
        "p_holm": min(1.0, 20 * p), "n_questions": 300, "n_sources": 120, "too_few": False, "lost": lost,
        "gained": gained, "withheld": False,
    }  # fmt: skip
    return made | fields


def withheld(n_questions: int = 12, n_sources: int = 6) -> dict[str, Any]:
    """A cell of which a hidden split tells nothing but its size."""
    blank = dict.fromkeys(("base", "tuned", "delta", "p", "p_holm", "lost", "gained"))
    return {**blank, "n_questions": n_questions, "n_sources": n_sources, "too_few": True, "withheld": True}


def forgetting(
    *, target: Mapping[str, list[str]] | None = TARGET, fine: Sequence[str] = FINE, outside: float = -0.12,
    inside: float = 0.14, retained: float | None = 0.71, half_width: float = 0.04,
) -> dict[str, Any]:  # fmt: skip
    """A tuned model that lost `outside` on average and gained `inside`."""
    rng = np.random.default_rng(4)
    tasks = []
    for name in (*COARSE, *fine):
        base = float(rng.uniform(0.3, 0.7))
        shift = float(rng.normal(0, 0.05))
        has_inside = target is not None and (name in INSIDE_TASKS or (name in fine and fine.index(name) % 3 == 0))
        out = cell(base, outside + shift, half_width)
        into = cell(base - 0.05, inside + shift, half_width, n_questions=80, n_sources=41) if has_inside else None
        all_ = cell(base, outside * 0.8 + inside * 0.2 + shift, half_width) if has_inside else dict(out)
        group = "coarse" if name in COARSE else "fine"
        tasks.append({"task": name, "group": group, "question": name, "dataset": None, "all": all_, "inside": into,
                      "outside": out})  # fmt: skip
    tasks[1]["outside"] |= {"too_few": True, "n_sources": 7, "n_questions": 20}
    if target is not None:
        tasks[2]["inside"] = withheld()
    facets = [
        {"facet": facet, "value": value, "fine": cell(0.5, outside + 0.02 * place, half_width),
         "coarse": cell(0.6, outside - 0.02 * place, half_width) if place else None}
        for facet, values in (("modality", ("light microscopy", "electron microscopy")), ("stain", ("DAPI", "Giemsa")))
        for place, value in enumerate(values)
    ]  # fmt: skip
    share = {"estimate": retained, "low": retained and retained - 0.16, "high": retained and retained + 0.15,
             "n_tasks": len(tasks) - 2 if retained else 0, "tasks": list(COARSE[:2])}  # fmt: skip
    return HEAD | {
        "schema": 1, "analysis": "forgetting", "base": {"protocol": "captions"}, "tuned": {"protocol": "captions"},
        "target": target, "tasks": tasks, "facets": facets,
        "headline": {
            "outside": _mean(0.52, outside, half_width, len(tasks) - 1),
            "inside": None if target is None else _mean(0.47, inside, half_width, 3),
            "all": _mean(0.51, outside * 0.8 + inside * 0.2, half_width, len(tasks)), "retained_share": share,
            "positive_part": {"estimate": 0.126, "expected": 0.021, "n_tasks": len(tasks) - 1},
            "flips": {"lost": 412, "gained": 198, "n_questions": 2_100},
        },
        "missing": {"base": [], "tuned": []},
    }  # fmt: skip


def interpolation(
    *, target: Mapping[str, list[str]] | None = TARGET, alphas: Sequence[float] = ALPHAS, selected: float = 0.35,
    broken: Sequence[float] = (), dev: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """A sweep whose macro is best between its ends."""
    points = [_point(alpha, target is not None) for alpha in alphas if alpha not in broken]
    chosen = _selected(selected, target is not None, "the best macro accuracy on dev; of equals the smallest α")
    within = _selected(0.6, True, "the best macro accuracy on dev of those that lose at most one point in the target "
                       "domain") if target is not None and dev else None  # fmt: skip
    return HEAD | {
        "schema": 1, "analysis": "interpolation", "select_on": "dev" if dev else None, "target": target,
        "alphas": points,
        "dev": [{"alpha": alpha, "macro": round(_macro(alpha) + 0.01, 6), "inside": round(_inside(alpha), 6)}
                for alpha in alphas if dev],
        "ensemble": [
            {"alpha": alpha, "aggregates": {"macro": change(_macro(alpha) - 0.01)},
             "inside": change(_inside(alpha)), "outside": change(_outside(alpha) - 0.012)} for alpha in alphas
        ],
        "selected": {
            "best_macro": chosen, "within_one_point": within,
            "within_one_point_reason": None if within else "No target domain was declared.",
        } if dev else None,
        "selected_alpha": selected if dev else None,
        "broken": [{"alpha": alpha, "code": "non_finite_output", "message": "The model gave NaN or infinite "
                    "numbers."} for alpha in broken],
        "merge": {"equal_tensors": 12, "interpolated_tensors": 290, "copied_from_tuned": ["position_ids"],
                  "unchanged_towers": ["text"]},
    }  # fmt: skip


def _mean(base: float, delta: float, half_width: float, n_tasks: int) -> dict[str, Any]:
    return {"base": base, "tuned": round(base + delta, 6), "delta": change(delta, half_width * 0.6),
            "p": 0.0002 if abs(delta) > half_width * 0.6 else 0.31, "n_tasks": n_tasks, "n_sources": 431}  # fmt: skip


def _inside(alpha: float) -> float:
    return 0.47 + 0.14 * (1 - (1 - alpha) ** 2)


def _outside(alpha: float) -> float:
    return 0.52 + 0.05 * alpha - 0.17 * alpha**2


def _macro(alpha: float) -> float:
    return 0.75 * _outside(alpha) + 0.25 * _inside(alpha)


def _measured(value: float, base: float, alpha: float) -> dict[str, Any]:
    return change(value, 0.03) | {"delta": change(value - base, 0.035 * alpha)}


def _point(alpha: float, has_target: bool) -> dict[str, Any]:
    macro = _measured(_macro(alpha), _macro(0), alpha)
    inside, outside = _measured(_inside(alpha), _inside(0), alpha), _measured(_outside(alpha), _outside(0), alpha)
    names = ("macro", "coarse", "fine", "pooled", "pooled_coarse", "pooled_fine")
    deltas = {name: (_outside(alpha) - _outside(0)) * (2 if name == LIVELIEST else 1) for name in (*COARSE, *FINE)}
    tasks = [{"task": name, "group": "coarse" if name in COARSE else "fine", "accuracy": change(_outside(0) + delta),
              "delta": change(delta, 0.06 * alpha)} for name, delta in deltas.items()]  # fmt: skip
    size = {"n_questions": 80, "n_sources": 41, "withheld": False}
    nothing = dict.fromkeys(("estimate", "low", "high"))
    few = {**nothing, "delta": nothing, "n_questions": 12, "n_sources": 6, "withheld": True}
    return {
        "alpha": alpha, "tasks": tasks, "aggregates": dict.fromkeys(names, macro),
        "facets": [
            {"facet": "modality", "value": "light microscopy", "fine": outside | size, "coarse": inside | size},
            {"facet": "stain", "value": "DAPI", "fine": outside | size, "coarse": None},
            {"facet": "stain", "value": "Giemsa", "fine": few, "coarse": None},
        ],
        "inside": inside if has_target else None, "outside": outside if has_target else None,
    }  # fmt: skip


def _selected(alpha: float, has_target: bool, rule: str) -> dict[str, Any]:
    values = {"macro": _macro, "inside": _inside, "outside": _outside}
    has = {name: name == "macro" or has_target for name in values}
    return {
        "alpha": alpha, "rule": rule,
        **{name: change(value(alpha), 0.03) if has[name] else None for name, value in values.items()},
        "vs_base": {name: change(value(alpha) - value(0), 0.02) if has[name] else None
                    for name, value in values.items()},
        "vs_tuned": {name: change(value(alpha) - value(1), 0.02) if has[name] else None
                     for name, value in values.items()},
    }  # fmt: skip
