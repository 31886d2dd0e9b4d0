"""Made-up documents of label efficiency and of strategies, in the shape of efficiency.json, for tests of pages."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.builders import analyses
from tests.builders.analyses import change

HEAD = {name: value for name, value in analyses.HEAD.items() if name != "variant"}

PER_CLASS = (1, 2, 4, 8, 16, 32)
REACHED, AT_ONCE, NOT_REACHED, NO_ZERO_SHOT = "reached", "from the first", "not reached", "not applicable"


def efficiency(
    dataset: str = "cells_a", *, n_classes: int = 3, skill: float = 0.6, gain: float = 0.03,
    zero_shot: float | None = 0.55, per_class: Sequence[int] = PER_CLASS, ranked: bool = True,
    reason: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """An encoder whose curve rises from just above chance towards `skill` of the way to 1."""
    budgets = [_budget(labels, n_classes, skill, gain) for labels in per_class]
    heights = [each["same"]["balanced_accuracy"]["estimate"] for each in budgets]
    labels = [each["labels"] for each in budgets]
    ceiling = change(_height(200, n_classes, skill), 0.03)
    area = float(np.mean([(height - 1 / n_classes) / (1 - 1 / n_classes) for height in heights])) if heights else None
    return HEAD | {
        "schema": 1, "analysis": "label_efficiency", "pool": "dev", "dataset": dataset, "n_classes": n_classes,
        "pool_items": 2 * n_classes * 40, "pool_sources": 60, "items": 180, "sources": 58, "seeds": 20,
        "ranked": ranked, "reason": reason, "cut": tuple(per_class) != PER_CLASS, "budgets": budgets,
        "zero_shot": None if zero_shot is None else {"balanced_accuracy": change(zero_shot)},
        "ceiling": {"balanced_accuracy": ceiling, "accuracy": ceiling, "labels": 2 * n_classes * 40},
        "aulc": {name: area and change(area) for name in ("log2", "linear")},
        "own_aulc": {name: area and round(area + gain, 6) for name in ("log2", "linear")},
        "gain": {"log2": area and change(gain, 0.02), "linear": gain},
        "labels_to": {
            "zero_shot": _labels_to(zero_shot, labels, heights),
            "eighty_percent": _labels_to(0.8, labels, heights),
            "ninety_of_ceiling": _labels_to(0.9 * ceiling["estimate"], labels, heights),
        },
    }  # fmt: skip


GAINS = {"random": 0.0, "margin": 0.012, "coreset": -0.03, "badge": 0.02, "typiclust": 0.05, "dropquery": 0.06}


def comparison(
    dataset: str | None = "cells_a", encoder: str | None = "strong", start: str = "random", *,
    gains: Mapping[str, float] = GAINS, rounds: int = 8, per_round: int = 6,
) -> dict[str, Any]:  # fmt: skip
    """Strategies that gain `gains` of area over random choice."""
    labels = [per_round * (1 + number) for number in range(rounds)]
    names = list(gains)
    order = sorted(names, key=lambda name: -gains[name])
    return HEAD | {
        "schema": 1, "analysis": "strategies", "dataset": dataset, "encoder": encoder, "start": start,
        "seeds": 20, "budgets": labels,
        "penalty": [[_wins(gains[i] - gains[j]) for j in names] for i in names],
        "strategies": [
            {
                "strategy": name, "aulc": {"mean": round(0.6 + gain, 6), "low": 0.58 + gain, "high": 0.62 + gain},
                "over_random": None if name == "random" else change(gain, 0.015)
                               | dict.fromkeys(("p", "p_raw"), 0.0004 if abs(gain) > 0.015 else 0.21),
                "mean_rank": 1.0 + order.index(name) * 0.9, "group": 1 + order.index(name) // 2,
                "label_saving": _saving(gain), "all_classes_by": {"labels": round(18 - 100 * gain, 1), "share": 1.0},
                "curve": [{"labels": held, "balanced_accuracy": change(0.9 - 0.5 * 0.7**place + gain, 0.02)}
                          for place, held in enumerate(labels)] if dataset else [],
            }
            for name, gain in gains.items()
        ],
    }  # fmt: skip


def _saving(gain: float) -> dict[str, Any]:
    if gain < 0:
        return {"ratio": None, "labels": None, "target": 0.8, "state": NOT_REACHED}
    return {"ratio": round(1 + 20 * gain, 3), "labels": 30.0, "target": 0.8, "state": REACHED}


def _wins(difference: float) -> float:
    return round(min(max(difference * 12, 0.0), 1.0) * 8) / 8


def _height(per_class: float, n_classes: int, skill: float) -> float:
    return 1 / n_classes + (1 - 1 / n_classes) * skill * (1 - 0.75 * per_class**-0.6)


def _budget(per_class: int, n_classes: int, skill: float, gain: float) -> dict[str, Any]:
    height = _height(per_class, n_classes, skill)
    own = height + gain / per_class**0.5
    return {
        "per_class": per_class, "labels": per_class * n_classes, "same": _scores(height, per_class, n_classes),
        "own": _scores(own, per_class, n_classes), "gain": change(own - height, 0.015),
    }  # fmt: skip


def _scores(height: float, per_class: int, n_classes: int) -> dict[str, Any]:
    return {
        "balanced_accuracy": change(height, 0.05), "accuracy": change(height + 0.01, 0.05),
        "macro_auroc": round(min(0.5 + height / 2, 1.0), 6), "macro_f1": round(height - 0.01, 6),
        "worst_class_recall": round(height / 2, 6), "calibration_error": 0.081,
        "classes_found": min(n_classes, round(0.7 * n_classes * per_class, 2)),
        "seeds_low": round(height - 0.08, 6), "seeds_high": round(height + 0.07, 6),
    }  # fmt: skip


def _labels_to(target: float | None, labels: list[int], heights: list[float]) -> dict[str, Any]:
    blank: dict[str, Any] = dict.fromkeys(("labels", "low", "high"))
    if target is None:
        return blank | {"state": NO_ZERO_SHOT}
    if not heights or max(heights) < target:
        return blank | {"state": NOT_REACHED}
    if heights[0] >= target:
        return {"labels": float(labels[0]), "low": float(labels[0]), "high": float(labels[0]), "state": AT_ONCE}
    found = float(2 ** np.interp(target, heights, np.log2(labels)))
    return {"labels": round(found, 2), "low": round(found * 0.7, 2), "high": round(found * 1.6, 2), "state": REACHED}
