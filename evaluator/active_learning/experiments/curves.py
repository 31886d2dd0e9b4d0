"""Learning curves as a document. In: StrategyResult and the right classes; out: what curves.json holds. Torch-free."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.experiments import metrics
from evaluator.active_learning.tasks import StrategyResult, StrategyTask

SCHEMA, DIGITS = 1, 6


def curves_of(
    task: StrategyTask, result: StrategyResult, right: NDArray[np.int64], *, propagates: bool = False
) -> dict[str, Any]:
    """One curve per seed by labels held, the start counted, and the area under them (trapezoid over labels, divided by
    their range): its mean and sample standard deviation over seeds, null for one seed.

    right: (m,) classes of the evaluated images; rows of `selected` are rows of the pool, counted from 0.
    """
    held = [task.per_round * number for number in range(1, task.rounds + 1)]
    chosen = result.probabilities.argmax(axis=-1)
    accuracy, balanced = metrics.accuracy(right, chosen), metrics.balanced_accuracy(right, chosen)
    classes = task.data.labels[result.ids].reshape(len(task.seeds), -1)
    found = np.stack([metrics.classes_found(classes[:, :count]) for count in held], axis=-1)
    return {
        "schema": SCHEMA, "strategy": str(task.strategy), "start": str(task.start), "head": str(task.head),
        "propagated": propagates, "n_classes": task.data.n_classes,
        "runs": [
            {
                "seed": seed, "labels": held, "accuracy": _rounded(accuracy[place]),
                "balanced_accuracy": _rounded(balanced[place]), "classes_found": found[place].tolist(),
                "selected": result.ids[place].tolist(), "seconds": round(float(result.seconds[place].sum()), 3),
            }
            for place, seed in enumerate(task.seeds)
        ],
        "aulc": _spread(metrics.aulc_linear(held, accuracy)),
        "balanced_aulc": _spread(metrics.aulc_linear(held, balanced)),
    }  # fmt: skip


def _spread(values: NDArray[np.float64]) -> dict[str, float | None]:
    deviation = round(float(values.std(ddof=1)), DIGITS) if len(values) > 1 else None
    return {"mean": round(float(values.mean()), DIGITS), "sd": deviation}


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
