"""Label efficiency by its definitions: one seed, one budget, one class, one replicate at a time."""

from collections.abc import Sequence

import numpy as np

from evaluator.active_learning.tasks import CurveResult, CurveTask
from evaluator.analyses.labels.learning import Evaluated


def slow_recalls(chosen: np.ndarray, evaluated: Evaluated, times: np.ndarray) -> tuple[float, float]:
    """Balanced accuracy and accuracy of one head, every image counted `times` times. A class that is not counted keeps
    its recall on all images."""
    recalls = []
    for each in sorted(set(evaluated.right.tolist())):
        own = [place for place, right in enumerate(evaluated.right) if right == each]
        counted = sum(times[place] for place in own)
        weights = {place: times[place] if counted else 1 for place in own}
        right = sum(weights[place] for place in own if chosen[place] == each)
        recalls.append(right / sum(weights.values()))
    counts = times if times.sum() else np.ones(len(times))
    accuracy = sum(counts[place] for place in range(len(chosen)) if chosen[place] == evaluated.right[place])
    return sum(recalls) / len(recalls), accuracy / counts.sum()


def slow_curve(
    chances: np.ndarray, evaluated: Evaluated, times: np.ndarray, of_seeds: Sequence[float]
) -> tuple[list[float], list[float]]:  # fmt: skip
    """Balanced accuracy and accuracy at every budget: means over seeds, each weighted by its share."""
    balanced, accuracy = [], []
    for budget in range(chances.shape[1]):
        pairs = [slow_recalls(chances[seed, budget].argmax(axis=1), evaluated, times) for seed in range(len(chances))]
        balanced.append(sum(share * pair[0] for share, pair in zip(of_seeds, pairs, strict=True)))
        accuracy.append(sum(share * pair[1] for share, pair in zip(of_seeds, pairs, strict=True)))
    return balanced, accuracy


def slow_log2_area(labels: Sequence[int], scores: Sequence[float], n_classes: int) -> float:
    """The mean over log2 of the labels, by the polygon's area, of what is above chance."""
    free = [(score - 1 / n_classes) / (1 - 1 / n_classes) for score in scores]
    area = 0.0
    for place in range(len(labels) - 1):
        area += (np.log2(labels[place + 1]) - np.log2(labels[place])) * (free[place] + free[place + 1]) / 2
    return area / (np.log2(labels[-1]) - np.log2(labels[0]))


def slow_log2_replicates(task: CurveTask, result: CurveResult, evaluated: Evaluated, dataset: str) -> list[float]:
    """The log2 area of common labels in every replicate."""
    shares = evaluated.draws.of_seeds(len(result.same), dataset)
    found = []
    for replicate, drawn in enumerate(evaluated.draws.sources):
        times = drawn[evaluated.source].astype(float)
        balanced, _ = slow_curve(result.same, evaluated, times, shares[replicate])
        found.append(slow_log2_area(task.budgets, balanced, task.data.n_classes))
    return found


def slow_labels_to(labels: Sequence[int], scores: Sequence[float], target: float) -> float:
    """By walking the curve in small steps of log2 labels, over every budget; ∞ where it ends below the target."""
    places = np.log2(labels)
    steps = np.concatenate([np.linspace(*ends, 2_001) for ends in zip(places, [*places[1:], places[-1]], strict=True)])
    reached = np.interp(steps, places, scores) >= target - 1e-9
    return float(2 ** steps[reached.argmax()]) if reached.any() else np.inf
