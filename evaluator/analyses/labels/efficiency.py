"""How few labels an encoder needs on one dataset. In: predictions of its heads, right classes; out: the document.

Pure: the same input gives the same bytes. Definitions: docs/decisions.md, "Label efficiency".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.experiments import metrics
from evaluator.active_learning.studies.orders import budgets_for
from evaluator.active_learning.tasks import CurveResult, CurveTask
from evaluator.analyses.labels.labels_to import BLANK, Reached, labels_to
from evaluator.analyses.labels.learning import Curve, Curves, Evaluated, curves_of, drawn_ends
from evaluator.scoring.report import rounded
from evaluator.statistics.wilson import FEW_SOURCES

SCHEMA = 1
EFFICIENCY_VERSION = "1"
SEEDS_SHOWN = (0.1, 0.9)  # what share of seeds lies below `seeds_low` and `seeds_high`
GOOD, NEAR_CEILING = 0.8, 0.9  # targets of labels_to: a balanced accuracy; a share of the ceiling
Floats = NDArray[np.float64]
Json = dict[str, Any]

__all__ = ["EFFICIENCY_VERSION", "Efficiency", "Evaluated", "Facts", "efficiency", "not_measured"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Sizes of one dataset, known before anything is trained; n_classes: those of the pool."""

    dataset: str
    n_classes: int
    pool_items: int
    pool_sources: int
    seeds: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Efficiency:
    """replicates: (B,) of the log2 area under the curve of common labels, by which boards rank; gain_replicates: (B,)
    of what own labels add to it. Both None where nothing was measured."""

    document: Json
    replicates: Floats | None
    gain_replicates: Floats | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Area:
    """The area under a curve: of the mean curve, and (B,) replicates; trials: as in Curve."""

    estimate: float
    drawn: Floats
    trials: int

    def __sub__(self, other: "_Area") -> "_Area":
        return _Area(
            estimate=self.estimate - other.estimate, drawn=self.drawn - other.drawn, trials=self.trials
        )  # fmt: skip

    def cell(self) -> Json:
        """The estimate with its interval."""
        return _interval(self.estimate, drawn_ends(self.drawn, self.trials))


def efficiency(
    facts: Facts, task: CurveTask, result: CurveResult, evaluated: Evaluated, *, head: Mapping[str, Any]
) -> Efficiency:
    """The document of one dataset, and what boards rank by. head: of `forgetting.analysis_head`."""
    curves = curves_of(result, evaluated, facts.dataset)
    same, own = (_log2_area(task, curve) for curve in (curves.same, curves.own))
    same_linear, own_linear = (_linear_area(task, curve) for curve in (curves.same, curves.own))
    gain = own - same
    document = _head(facts, evaluated, head) | {
        "budgets": _budgets(facts, task, result, evaluated, curves),
        "zero_shot": curves.zero_shot and _point(curves.zero_shot, 0),
        "ceiling": _point(curves.ceiling, 0) | {"labels": facts.pool_items},
        "aulc": {"log2": same.cell(), "linear": same_linear.cell()},
        "own_aulc": {"log2": own.estimate, "linear": own_linear.estimate},
        "gain": {"log2": gain.cell(), "linear": (own_linear - same_linear).estimate},
        "labels_to": _labels_to(task, curves),
    }  # fmt: skip
    return Efficiency(document=rounded(document), replicates=same.drawn, gain_replicates=gain.drawn)


def not_measured(facts: Facts, evaluated: Evaluated, reason: str, *, head: Mapping[str, Any]) -> Efficiency:
    """The document of a dataset on which the encoder has no curve, for `reason`: a sentence."""
    nothing: Json = dict.fromkeys(("estimate", "low", "high"))
    blank = BLANK | {"state": str(Reached.NOT_APPLICABLE)}
    document = _head(facts, evaluated, head) | {
        "ranked": False, "reason": reason, "budgets": [], "zero_shot": None,
        "ceiling": {"balanced_accuracy": nothing, "accuracy": nothing, "labels": facts.pool_items},
        **{name: {"log2": None, "linear": None} for name in ("aulc", "own_aulc", "gain")},
        "labels_to": {name: blank for name in ("zero_shot", "eighty_percent", "ninety_of_ceiling")},
    }  # fmt: skip
    return Efficiency(document=rounded(document), replicates=None, gain_replicates=None)


def _head(facts: Facts, evaluated: Evaluated, head: Mapping[str, Any]) -> Json:
    budgets = budgets_for(facts.pool_items, facts.n_classes)
    reason = budgets.reason
    if reason is None and evaluated.n_sources < FEW_SOURCES:
        reason = (f"Only {evaluated.n_sources} sources stand behind the evaluated images; a rank needs "
                  f"{FEW_SOURCES}.")  # fmt: skip
    return {
        "schema": SCHEMA, "analysis": "label_efficiency", "version": EFFICIENCY_VERSION, "pool": "dev", **head,
        "dataset": facts.dataset, "n_classes": facts.n_classes, "pool_items": facts.pool_items,
        "pool_sources": facts.pool_sources, "items": len(evaluated.right), "sources": evaluated.n_sources,
        "absent_classes": len(np.unique(evaluated.right[evaluated.right < 0])), "seeds": facts.seeds,
        "ranked": reason is None, "reason": reason, "cut": budgets.cut,
    }  # fmt: skip


def _budgets(
    facts: Facts, task: CurveTask, result: CurveResult, evaluated: Evaluated, curves: Curves
) -> list[Json]:  # fmt: skip
    rows = []
    per_class = budgets_for(facts.pool_items, facts.n_classes).per_class
    for place, (each, budget) in enumerate(zip(per_class, task.budgets, strict=True)):
        sides = (("same", curves.same, result.same, task.orders), ("own", curves.own, result.own, result.own_ids))
        row: Json = {"per_class": each, "labels": budget}
        for name, curve, chances, orders in sides:
            labels = task.data.labels[orders[:, :budget]]
            row[name] = _scores(curve, place, chances[:, place], labels, evaluated.right)
        gained = curves.own.balanced_drawn[:, place] - curves.same.balanced_drawn[:, place]
        gain = float(curves.own.mean[place] - curves.same.mean[place])
        row["gain"] = _interval(gain, drawn_ends(gained, curves.same.trials))
        rows.append(row)
    return rows


def _scores(
    curve: Curve, place: int, chances: NDArray[np.float32], labels: NDArray[np.int64], right: NDArray[np.int64]
) -> Json:
    """Means over seeds. chances: (S, m, C) at this budget; labels: (S, budget) the classes of the labels held."""
    chosen = chances.argmax(axis=-1)
    auroc = metrics.macro_auroc(right, chances)
    low, high = np.quantile(curve.balanced[:, place], SEEDS_SHOWN)
    return _point(curve, place) | {
        "macro_auroc": None if np.isnan(auroc).any() else float(auroc.mean()),
        "macro_f1": float(metrics.macro_f1(right, chosen).mean()),
        "worst_class_recall": float(metrics.worst_class_recall(right, chosen).mean()),
        "classes_found": float(metrics.classes_found(labels).mean()),
        "calibration_error": float(metrics.calibration_error(right, chances).mean()),
        "seeds_low": float(low), "seeds_high": float(high),
    }  # fmt: skip


def _point(curve: Curve, place: int) -> Json:
    """Both accuracies at one budget."""
    return {
        "balanced_accuracy": _interval(float(curve.mean[place]), curve.balanced_ends[place]),
        "accuracy": _interval(float(curve.accuracy[:, place].mean()), curve.accuracy_ends[place]),
    }


def _log2_area(task: CurveTask, curve: Curve) -> _Area:
    """Chance-corrected, over log2 of the labels."""
    mean, drawn = (
        metrics.aulc_log2(task.budgets, scores, task.data.n_classes) for scores in (curve.mean, curve.balanced_drawn)
    )
    return _Area(estimate=float(mean), drawn=drawn, trials=curve.trials)


def _linear_area(task: CurveTask, curve: Curve) -> _Area:
    """Of balanced accuracy as it is, over labels."""
    mean, drawn = (metrics.aulc_linear(task.budgets, scores) for scores in (curve.mean, curve.balanced_drawn))
    return _Area(estimate=float(mean), drawn=drawn, trials=curve.trials)


def _labels_to(task: CurveTask, curves: Curves) -> Json:
    mean, drawn = curves.same.mean, curves.same.balanced_drawn
    zero_shot, ceiling = curves.zero_shot, curves.ceiling
    asked = None if zero_shot is None else float(zero_shot.mean[0])
    asked_drawn = 0.0 if zero_shot is None else zero_shot.balanced_drawn[:, 0]
    near, near_drawn = NEAR_CEILING * float(ceiling.mean[0]), NEAR_CEILING * ceiling.balanced_drawn[:, 0]
    return {
        "zero_shot": labels_to(task.budgets, mean, drawn, asked, asked_drawn),
        "eighty_percent": labels_to(task.budgets, mean, drawn, GOOD, GOOD),
        "ninety_of_ceiling": labels_to(task.budgets, mean, drawn, near, near_drawn),
    }


def _interval(estimate: float, ends: Floats) -> Json:
    """ends: (2,)"""
    return {"estimate": estimate, "low": float(ends[0]), "high": float(ends[1])}
