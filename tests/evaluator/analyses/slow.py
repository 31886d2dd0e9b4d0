"""Paired comparison by its definition: dictionaries and loops, one replicate and one swap after the other.

In: tables, the options that models chose, a target. Out: numbers by task, facet and side. Draws and swaps are taken as
lists of numbers; everything that is done with them is written out here.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

from evaluator.release.schema import CLASSIFICATION, FACETS, Split
from evaluator.scoring.index import build_index
from evaluator.statistics.bootstrap import source_weights
from evaluator.statistics.paired import sign_flips
from tests.builders.tables import Tables

Keep = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One question: its task and source, the marks of every model, and the item's row of the key."""

    task: str
    source: str
    marks: tuple[float, ...]
    options: int
    item: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Luck:
    """The draws and swaps, by source."""

    weights: list[dict[str, float]]
    signs: list[dict[str, float]]


def luck_of(tables: Tables, *, swaps: bool = True) -> Luck:
    index = build_index(tables.info, Split.TEST, tables.questions, tables.key)
    names = sorted(set(tables.key["source"].to_pylist()))

    def by_source(chunks: Iterable[np.ndarray]) -> list[dict[str, float]]:
        return [dict(zip(names, row, strict=True)) for chunk in chunks for row in chunk.tolist()]

    return Luck(
        weights=by_source(source_weights(index.stratum, index.seed)),
        signs=by_source(sign_flips(index.n_sources, index.seed)) if swaps else [],
    )


def answers_of(tables: Tables, models: list[list[int]], variant: int | None) -> list[Answer]:
    """The questions of one variant. models: the options chosen, one per row of questions, of each model."""
    items = {(row["dataset"], row["image_id"]): row for row in tables.key.to_pylist()}
    found = []
    for row, *chosen in zip(tables.questions.to_pylist(), *models, strict=True):
        if row["variant"] != variant:
            continue
        item = items[row["dataset"], row["image_id"]]
        right = next(
            a["answer_idx"] for a in item["answers"] if (a["question"], a["variant"]) == (row["question"], variant)
        )
        task = row["dataset"] if row["question"] == CLASSIFICATION else f"coarse-{row['question']}"
        marks = tuple(1.0 if c == right and c != -1 else 0.0 for c in chosen)
        found.append(
            Answer(task=task, source=item["source"], marks=marks, options=len(row["options"]), item=item)
        )  # fmt: skip
    return found


def inside_target(target: dict[str, tuple[str, ...]]) -> Keep:
    return lambda item: all(item[facet] in values for facet, values in target.items())


def by_task(answers: list[Answer], keep: Keep = lambda item: True) -> dict[str, list[Answer]]:
    found: dict[str, list[Answer]] = {}
    for answer in answers:
        if keep(answer.item):
            found.setdefault(answer.task, []).append(answer)
    return found


def votes_of(tables: Tables, tasks: Iterable[str]) -> dict[str, float]:
    """Each task's share of a mean: tasks of one study share a vote."""
    share = dict.fromkeys(tasks, 1.0)
    for study in tables.info.vote_groups:
        sharing = [task for task in study if task in share]
        for task in sharing:
            share[task] = 1.0 / len(sharing)
    total = sum(share.values())
    return {task: vote / total for task, vote in share.items()}


def sources_in(answers: Iterable[Answer]) -> set[str]:
    return {answer.source for answer in answers}


def accuracy(tasks: dict[str, list[Answer]], votes: dict[str, float], model: int) -> float:
    return sum(votes[task] * sum(a.marks[model] for a in own) / len(own) for task, own in tasks.items())


def resampled(
    tasks: dict[str, list[Answer]], votes: dict[str, float], weights: dict[str, float], model: int
) -> float | None:
    """The mean with each source taken as often as it was drawn; None where no question of it was."""
    total, share = 0.0, 0.0
    for task, own in tasks.items():
        asked = sum(weights[a.source] for a in own)
        if asked:
            total += votes[task] * sum(weights[a.source] * a.marks[model] for a in own) / asked
            share += votes[task]
    return total / share if share else None


def quantile(values: list[float], at: float) -> float:
    """By linear interpolation between order statistics."""
    ordered = sorted(values)
    place = at * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def tail_of(n_sources: int) -> float:
    if n_sources == 1:
        return 0.025
    return float(norm.cdf(-math.sqrt(n_sources / (n_sources - 1)) * student_t.ppf(0.975, n_sources - 1)))


def wilson_ends(p: float, n: float, z: float) -> tuple[float, float]:
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def share_ends(
    tasks: dict[str, list[Answer]], votes: dict[str, float], part: Callable[[Answer], float]
) -> tuple[float, float, float]:
    """(share, low, high) of the answers that changed in one direction."""
    every = [a for own in tasks.values() for a in own]
    sources = sources_in(every)
    share = sum(votes[task] * sum(part(a) for a in own) / len(own) for task, own in tasks.items())
    squares, differing = 0.0, 0
    for source in sources:
        residual = 0.0
        for task, own in tasks.items():
            mean = sum(part(a) for a in own) / len(own)
            residual += votes[task] * sum(part(a) - mean for a in own if a.source == source) / len(own)
        squares += residual**2
        differing += any(part(a) > 0 for a in every if a.source == source)
    g = len(sources)
    variance = g / (g - 1) * squares if g > 1 else 0.0
    seen = float(g) if variance < 1e-15 else min(share * (1 - share) / variance, len(every))
    trusted = differing / (differing + 2)
    n = 1 / (trusted / seen + (1 - trusted) / min(seen, g))
    return (share, *wilson_ends(share, n, float(student_t.ppf(0.975, g - 1)) if g > 1 else 1.959963984540054))


def paired_interval(
    tasks: dict[str, list[Answer]], votes: dict[str, float], luck: Luck, first: int, second: int
) -> tuple[float, float]:
    """The wider, at each end, of the expanded percentile interval and of the interval of the answers that changed."""
    drawn = []
    for weights in luck.weights:
        one, other = (resampled(tasks, votes, weights, model) for model in (first, second))
        if one is not None and other is not None:
            drawn.append(other - one)
    tail = tail_of(len(sources_in(a for own in tasks.values() for a in own)))
    gained = share_ends(tasks, votes, lambda a: max(a.marks[second] - a.marks[first], 0.0))
    lost = share_ends(tasks, votes, lambda a: max(a.marks[first] - a.marks[second], 0.0))
    difference = gained[0] - lost[0]
    below = math.sqrt((gained[0] - gained[1]) ** 2 + (lost[2] - lost[0]) ** 2)
    above = math.sqrt((gained[2] - gained[0]) ** 2 + (lost[0] - lost[1]) ** 2)
    return (
        min(quantile(drawn, tail), max(-1.0, difference - below)),
        max(quantile(drawn, 1 - tail), min(1.0, difference + above)),
    )


def source_changes(tasks: dict[str, list[Answer]], votes: dict[str, float]) -> dict[str, float]:
    """What each source adds to tuned − base."""
    found: dict[str, float] = {}
    for task, own in tasks.items():
        for a in own:
            found[a.source] = found.get(a.source, 0.0) + votes[task] * (a.marks[1] - a.marks[0]) / len(own)
    return found


def swap_p(tasks: dict[str, list[Answer]], votes: dict[str, float], luck: Luck) -> float:
    changes = source_changes(tasks, votes)
    observed = abs(sum(changes.values()))
    as_extreme = sum(
        abs(sum(signs[source] * change for source, change in changes.items())) >= observed - 1e-12
        for signs in luck.signs
    )
    return (1 + as_extreme) / (1 + len(luck.signs))


def holm(p: dict[Any, float]) -> dict[Any, float]:
    found, largest = {}, 0.0
    for rank, (name, value) in enumerate(sorted(p.items(), key=lambda pair: pair[1])):
        largest = max(largest, min(1.0, value * (len(p) - rank)))
        found[name] = largest
    return found


def slow_cell(tables: Tables, tasks: dict[str, list[Answer]], luck: Luck) -> dict[str, Any]:
    votes = votes_of(tables, tasks)
    every = [a for own in tasks.values() for a in own]
    base, tuned = accuracy(tasks, votes, 0), accuracy(tasks, votes, 1)
    low, high = paired_interval(tasks, votes, luck, 0, 1)
    return {
        "base": base, "tuned": tuned, "estimate": tuned - base, "low": low, "high": high,
        "p": swap_p(tasks, votes, luck), "n_questions": len(every), "n_sources": len(sources_in(every)),
        "lost": sum(a.marks[0] > a.marks[1] for a in every), "gained": sum(a.marks[1] > a.marks[0] for a in every),
    }  # fmt: skip


def averaged(tasks: dict[str, list[Answer]]) -> dict[str, list[Answer]]:
    return {task: own for task, own in tasks.items() if len(sources_in(own)) >= 10}


def slow_forgetting(tables: Tables, models: list[list[int]], target: dict[str, tuple[str, ...]]) -> dict[Any, Any]:
    """Cells by (task, side) and (facet, value, group), headline numbers by name; base and tuned are models 0 and 1."""
    luck, answers = luck_of(tables), answers_of(tables, models, 1)
    inside = inside_target(target)
    sides: dict[str, Keep] = {"all": lambda item: True, "inside": inside, "outside": lambda item: not inside(item)}
    found: dict[Any, Any] = {}
    for side, keep in sides.items():
        for task, own in by_task(answers, keep).items():
            found[task, side] = slow_cell(tables, {task: own}, luck)
    values = {(facet, row[facet]) for row in tables.key.to_pylist() for facet in FACETS if row[facet] is not None}
    for facet, value in values:
        tasks = by_task(answers, lambda item, facet=facet, value=value: item[facet] == value)
        for group in ("coarse", "fine"):
            own = {task: rows for task, rows in tasks.items() if task.startswith("coarse-") == (group == "coarse")}
            if own:
                found[facet, value, group] = slow_cell(tables, own, luck)
    found |= {side: slow_cell(tables, averaged(by_task(answers, keep)), luck) for side, keep in sides.items()}
    outside = averaged(by_task(answers, sides["outside"]))
    found["positive_part"] = slow_positive_part(tables, outside, luck)
    found["retained_share"] = slow_retained_share(tables, outside, luck)
    return found


def slow_positive_part(tables: Tables, tasks: dict[str, list[Answer]], luck: Luck) -> tuple[float, float]:
    votes = votes_of(tables, tasks)
    changes = {task: source_changes({task: own}, {task: 1.0}) for task, own in tasks.items()}
    estimate = sum(votes[task] * max(0.0, -sum(own.values())) for task, own in changes.items())
    swapped = [
        sum(votes[task] * max(0.0, -sum(signs[s] * c for s, c in own.items())) for task, own in changes.items())
        for signs in luck.signs
    ]
    return estimate, sum(swapped) / len(swapped)


def slow_retained_share(
    tables: Tables, tasks: dict[str, list[Answer]], luck: Luck
) -> tuple[float, float, float, list[str]] | None:
    """(estimate, low, high, tasks)."""
    known = {}
    for task, own in tasks.items():
        n, sources = len(own), sources_in(own)
        p = sum(a.marks[0] for a in own) / n
        squares = sum(sum(a.marks[0] - p for a in own if a.source == s) ** 2 for s in sources)
        variance = len(sources) / (len(sources) - 1) * squares / n**2
        n_eff = len(sources) if variance < 1e-15 else min(n, p * (1 - p) / variance)
        if wilson_ends(p, n_eff, 1.959963984540054)[0] > sum(1 / a.options for a in own) / n:
            known[task] = [
                Answer(task=a.task, source=a.source, marks=(*a.marks[:2], 1 / a.options), options=0, item=a.item)
                for a in own
            ]
    if not known:
        return None
    votes = votes_of(tables, known)
    base, tuned, chance = (accuracy(known, votes, model) for model in range(3))
    drawn = []
    for weights in luck.weights:
        b, t, c = (resampled(known, votes, weights, model) for model in range(3))
        if b is not None and t is not None and c is not None and b > c:
            drawn.append((t - c) / (b - c))
    tail = tail_of(len(sources_in(a for own in known.values() for a in own)))
    return (tuned - chance) / (base - chance), quantile(drawn, tail), quantile(drawn, 1 - tail), list(known)
