"""Deal the sources of a benchmark over its splits. In: dataset, source and label per item; out: a split per item.

A source never straddles splits, not even when it occurs in several datasets. The result depends on the names and the
seed alone, not on the order of the rows.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from evaluator.release.schema import Split

Labels = Counter[str]


def assign_splits(
    datasets: Sequence[str], sources: Sequence[str], labels: Sequence[str | None], fractions: Mapping[Split, float],
    seed: int,
) -> tuple[list[Split], list[str]]:  # fmt: skip
    """One split per item, and a sentence per dataset that could not be spread over all of them.

    Per dataset (in name order), its sources are taken in the order of sha256(seed, dataset, source) and each goes to
    the split that lacks most of its labels. A source that an earlier dataset placed stays where it is.
    `fractions` are positive and sum to 1.
    """
    held: dict[str, dict[str, Labels]] = defaultdict(lambda: defaultdict(Counter))
    for dataset, source, label in zip(datasets, sources, labels, strict=True):
        held[dataset][source][label or ""] += 1
    placed: dict[str, Split] = {}
    warnings = []
    for dataset in sorted(held):
        _deal(held[dataset], placed, fractions, salt=f"{seed}\0{dataset}")
        empty = set(fractions) - {placed[source] for source in held[dataset]}
        if empty:
            n = len(held[dataset])
            warnings.append(f"{dataset} has {n} source{'s' * (n != 1)} and so no item in {', '.join(sorted(empty))}.")
    return [placed[source] for source in sources], warnings


def _deal(held: Mapping[str, Labels], placed: dict[str, Split], fractions: Mapping[Split, float], *, salt: str) -> None:
    """Place the sources of one dataset (`held`: labels per source) that are not placed yet."""
    total: Labels = Counter()
    given: dict[Split, Labels] = {split: Counter() for split in fractions}
    for source, labels in held.items():
        total.update(labels)
        if source in placed:
            given[placed[source]].update(labels)
    waiting = sorted(
        (source for source in held if source not in placed),
        key=lambda source: hashlib.sha256(f"{salt}\0{source}".encode()).digest(),
    )
    for left, source in zip(range(len(waiting), 0, -1), waiting, strict=True):
        empty = [split for split in fractions if not given[split]]
        candidates = empty if left <= len(empty) else list(fractions)
        split = max(candidates, key=lambda s: (_deficit(held[source], total, given[s], fractions[s]), fractions[s]))
        placed[source] = split
        given[split].update(held[source])


def _deficit(labels: Labels, total: Labels, given: Labels, fraction: float) -> float:
    """How much a split lacks of these labels, each weighted by how often the source has it."""
    return sum(n * (fraction * total[label] - given[label]) for label, n in labels.items())
