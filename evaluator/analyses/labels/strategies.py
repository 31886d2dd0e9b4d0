"""Which query strategy spends labels best. In: what strategies chose and what heads made of it; out: documents.

A run is one strategy from one start on one dataset by one encoder; a comparison is of runs that differ in the strategy
alone, paired by seed; pooled, it is a mean of comparisons. Pure. Intervals and tests are over seeds: they speak of
other seeds on these images, not of other images. Definitions: docs/decisions.md, "Label efficiency".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.experiments import metrics
from evaluator.active_learning.names import Strategy
from evaluator.active_learning.tasks import StrategyResult, StrategyTask
from evaluator.analyses.labels.labels_to import Reached
from evaluator.errors import InputError
from evaluator.scoring.report import rounded
from evaluator.statistics.blocks import critical_difference, mean_of, mean_ranks, rank_groups
from evaluator.statistics.paired import holm

SCHEMA = 1
STRATEGIES_VERSION = "1"
LEVEL = 0.05  # of the tests that the penalty matrix counts, each at its budget
FEWEST_SEEDS = 2
SAME_IN_A_COMPARISON = ("dataset", "start", "head", "rounds", "per_round", "seeds", "labels")
Floats = NDArray[np.float64]
Json = dict[str, Any]

__all__ = ["STRATEGIES_VERSION", "comparison", "pooled", "run_document"]


def run_document(
    task: StrategyTask, result: StrategyResult, right: NDArray[np.int64], ids: Sequence[str], *, dataset: str,
    head: Mapping[str, Any],
) -> Json:  # fmt: skip
    """One run. right: (m,) classes, below 0 where the pool lacks it; ids: of the pool's rows, which are public; head:
    of `forgetting.analysis_head`. `seconds` is measured time, the one thing that differs when it is run again."""
    chosen = np.stack([each.argmax(axis=-1) for each in result.probabilities])  # (S, R, m), one seed at a time
    labels = [(number + 1) * task.per_round for number in range(task.rounds)]
    balanced = metrics.balanced_accuracy(right, chosen)
    areas = metrics.aulc_linear(labels, balanced)
    held = task.data.labels[result.ids.reshape(len(task.seeds), -1)]
    found = np.stack([metrics.classes_found(held[:, :each]) for each in labels], axis=1)
    return rounded({
        "schema": SCHEMA, "analysis": "strategy_run", "version": STRATEGIES_VERSION, "pool": "dev", **head,
        "dataset": dataset, "n_classes": task.data.n_classes, "strategy": str(task.strategy),
        "start": str(task.start), "head": str(task.head), "rounds": task.rounds, "per_round": task.per_round,
        "seeds": list(task.seeds), "labels": labels, "balanced_accuracy": balanced.tolist(),
        "accuracy": metrics.accuracy(right, chosen).tolist(), "classes_found": found.tolist(),
        "aulc": {"mean": float(areas.mean()), "sd": _spread(areas), "per_seed": areas.tolist()},
        "seconds": {"mean": float(np.mean(result.seconds))},
        "selected": [[[ids[row] for row in chosen_then] for chosen_then in run] for run in result.ids.tolist()],
    })  # fmt: skip


def comparison(runs: Sequence[Json], *, encoder: str) -> Json:
    """Runs of several strategies compared, in the order of their names' declaration. Random, where it is among them, is
    what others are compared with.

    Raises InputError: `not_comparable` where runs differ in more than the strategy, `too_few_seeds`.
    """
    first = _require_comparable(runs)
    order = list(Strategy)
    runs = sorted(runs, key=lambda run: order.index(Strategy(run["strategy"])))
    names = [run["strategy"] for run in runs]
    scores = np.array([run["balanced_accuracy"] for run in runs], dtype=np.float64)  # (M, S, R)
    areas = np.array([run["aulc"]["per_seed"] for run in runs], dtype=np.float64)  # (M, S)
    savings = _savings(names, scores.mean(axis=1), first["labels"])
    rows: list[Json] = [
        {"label_saving": saving, "all_classes_by": _all_classes_by(run), "curve": _curve(run)}
        for run, saving in zip(runs, savings, strict=True)
    ]
    return rounded({
        **_head(first), "encoder": encoder, "start": first["start"], "head": first["head"],
        "n_classes": first["n_classes"], "seeds": areas.shape[1], "budgets": first["labels"], "blocks": "seeds",
        **_ranked(names, areas, mean_ranks(areas.T), areas.shape[1], rows), "penalty": _penalty(scores).tolist(),
    })  # fmt: skip


def pooled(comparisons: Sequence[Json]) -> Json:
    """The mean of comparisons of the same strategies from one start, over encoders and datasets.

    Areas and differences are means over them seed by seed. Ranks are those of mean areas; encoders on one dataset are
    no independent trials, so the critical difference counts datasets: with one alone it groups all.
    Strategies that one of them lacks are left out and named. Raises InputError `not_comparable`.
    """
    names = [str(name) for name in Strategy if all(name in _by_name(each) for each in comparisons)]
    if len({(each["start"], each["head"], each["seeds"]) for each in comparisons}) != 1 or not names:
        message = "These comparisons differ in start, head or number of seeds, or have no strategy in common."
        raise InputError.single("not_comparable", message)
    chosen = [[_by_name(each)[name] for name in names] for each in comparisons]  # (N, M) rows
    areas = np.array([[row["aulc"]["per_seed"] for row in rows] for rows in chosen])  # (N, M, S)
    datasets = sorted({each["dataset"] for each in comparisons})
    of_dataset = np.array([datasets.index(each["dataset"]) for each in comparisons])
    own_ranks = np.concatenate([mean_ranks(each.mean(axis=1)[None])[None] for each in areas])  # (N, M)
    ranks = np.mean([own_ranks[of_dataset == place].mean(axis=0) for place in range(len(datasets))], axis=0)
    rows: list[Json] = [
        {"label_saving": _mean_saving([each[place]["label_saving"] for each in chosen]), "all_classes_by": None,
         "curve": []}
        for place in range(len(names))
    ]  # fmt: skip
    first = comparisons[0]
    seen = {row["strategy"] for each in comparisons for row in each["strategies"]}
    return rounded({
        **_head(first), "dataset": None, "encoder": None, "start": first["start"], "head": first["head"],
        "seeds": first["seeds"], "budgets": [], "blocks": "datasets", "datasets": datasets,
        "encoders": sorted({each["encoder"] for each in comparisons}), "left_out": sorted(seen - set(names)),
        **_ranked(names, areas.mean(axis=0), ranks, len(datasets), rows),
        "penalty": np.mean([_penalty_of(each, names) for each in comparisons], axis=0).tolist(),
    })  # fmt: skip


def _require_comparable(runs: Sequence[Json]) -> Json:
    names = [run["strategy"] for run in runs]
    differing = [key for key in SAME_IN_A_COMPARISON if any(run[key] != runs[0][key] for run in runs)]
    if not runs or differing or len(set(names)) < len(names):
        what = f"They differ in {', '.join(differing)}." if differing else "Give one run of each strategy."
        raise InputError.single("not_comparable", f"These runs cannot be compared. {what}")
    if len(runs[0]["seeds"]) < FEWEST_SEEDS:
        message = f"A comparison needs {FEWEST_SEEDS} seeds or more, for intervals are over seeds."
        raise InputError.single("too_few_seeds", message)
    return runs[0]


def _head(first: Json) -> Json:
    """What is the same in all that is compared."""
    kept = ("version", "pool", "release", "split", "key_revision", "dataset")
    return {"schema": SCHEMA, "analysis": "strategies"} | {name: first[name] for name in kept if name in first}


def _ranked(names: Sequence[str], areas: Floats, ranks: Floats, n_blocks: int, rows: Sequence[Json]) -> Json:
    """The strategies with their areas (M, S) and mean ranks (M,) over n_blocks."""
    difference = critical_difference(len(names), n_blocks)
    groups = rank_groups(ranks, difference)
    over_random = _over_random(names, areas)
    strategies = []
    for place, (name, row) in enumerate(zip(names, rows, strict=True)):
        mean = mean_of(areas[place])
        strategies.append({
            "strategy": name, "mean_rank": float(ranks[place]), "group": groups[place],
            "aulc": {"mean": mean.estimate, "low": mean.low, "high": mean.high, "per_seed": areas[place].tolist()},
            "over_random": over_random[place], **row,
        })  # fmt: skip
    return {"strategies": strategies, "critical_difference": difference}


def _over_random(names: Sequence[str], areas: Floats) -> list[Json | None]:
    """Differences from Random by seed. p: of a paired t-test, adjusted for all strategies looked at (Holm); p_raw: not
    adjusted, as the interval."""
    if Strategy.RANDOM not in names:
        return [None] * len(names)
    base = names.index(Strategy.RANDOM)
    means = {place: mean_of(areas[place] - areas[base]) for place in range(len(names)) if place != base}
    adjusted = dict(zip(means, holm(np.array([mean.p for mean in means.values()])).tolist(), strict=True))
    return [
        None if place == base else {
            "estimate": means[place].estimate, "low": means[place].low, "high": means[place].high,
            "p": adjusted[place], "p_raw": means[place].p,
        }
        for place in range(len(names))
    ]  # fmt: skip


def _penalty(scores: Floats) -> Floats:
    """(M, M) the share of budgets at which i beats j, by a paired t-test over seeds: p < LEVEL, not adjusted.

    scores: (M, S, R).
    """
    n_methods, _, n_budgets = scores.shape
    wins = np.zeros((n_methods, n_methods))
    for i in range(n_methods):
        for j in range(i):
            for place in range(n_budgets):
                mean = mean_of(scores[i, :, place] - scores[j, :, place])
                if mean.p < LEVEL:
                    winner, loser = (i, j) if mean.estimate > 0 else (j, i)
                    wins[winner, loser] += 1
    return wins / n_budgets


def _savings(names: Sequence[str], curves: Floats, labels: Sequence[int]) -> list[Json | None]:
    """How many times fewer labels each needs for the score that Random has in the end.

    curves: (M, R) means over seeds.
    """
    if Strategy.RANDOM not in names:
        return [None] * len(names)
    target = float(curves[names.index(Strategy.RANDOM), -1])
    return [_saving(curve, labels, target) for curve in curves]


def _saving(curve: Floats, labels: Sequence[int], target: float) -> Json:
    """ratio: labels of Random over labels of this one, interpolated; null where it is not reached. From the first: at
    least so many times."""
    enough = np.flatnonzero(curve >= target)
    if not len(enough):
        return {"ratio": None, "labels": None, "target": target, "state": str(Reached.NOT_REACHED)}
    first = int(enough[0])
    held = float(np.interp(target, curve[first - 1 : first + 1], labels[first - 1 : first + 1])) if first else labels[0]
    state = Reached.REACHED if first else Reached.AT_ONCE
    return {"ratio": labels[-1] / held, "labels": held, "target": target, "state": str(state)}


def _mean_saving(savings: Sequence[Json | None]) -> Json:
    """The geometric mean of ratios, null where one is not known."""
    ratios = [saving["ratio"] for saving in savings if saving is not None and saving["ratio"] is not None]
    known = len(ratios) == len(savings)
    return {"ratio": float(np.exp(np.mean(np.log(ratios)))) if known else None}


def _all_classes_by(run: Json) -> Json:
    """labels: mean over seeds of the labels held when every class of the pool had been seen, null where a seed never
    saw them all; share: of seeds that did."""
    seen = np.array(run["classes_found"]) >= run["n_classes"]  # (S, R)
    did = seen.any(axis=1)
    held = np.array(run["labels"])[seen.argmax(axis=1)]
    return {"labels": float(held.mean()) if did.all() else None, "share": float(did.mean())}


def _curve(run: Json) -> list[Json]:
    points = []
    for place, labels in enumerate(run["labels"]):
        row: Json = {"labels": labels}
        for name in ("balanced_accuracy", "accuracy"):
            mean = mean_of(np.array([seed[place] for seed in run[name]]))
            row[name] = {"estimate": mean.estimate, "low": mean.low, "high": mean.high}
        points.append(row | {"classes_found": float(np.mean([seed[place] for seed in run["classes_found"]]))})
    return points


def _by_name(compared: Json) -> dict[str, Json]:
    return {row["strategy"]: row for row in compared["strategies"]}


def _penalty_of(compared: Json, names: Sequence[str]) -> Floats:
    """(M, M) the part of its matrix that is of `names`."""
    places = [[row["strategy"] for row in compared["strategies"]].index(name) for name in names]
    return np.array(compared["penalty"], dtype=np.float64)[np.ix_(places, places)]


def _spread(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
