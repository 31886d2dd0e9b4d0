"""What a release holds, in numbers that are safe to publish. In: the key of each split; out: Release.summary.

{"<split>": {"tasks": [{"slug", "title", "group", "n_questions", "n_sources"}],
             "facets": {"<facet>": {"<value>": number of items}}}}
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluator.release.key import read_key
from evaluator.release.schema import COARSE_KINDS, FACETS, ReleaseInfo, Split
from evaluator.release.tasks import task_slug, task_title


def summarise_release(info: ReleaseInfo, key_dir: Path) -> dict[str, Any]:
    """Release.summary of a release whose keys lie in `key_dir`. A question counts once, whatever its variants."""
    return {split.value: _summarise(info, read_key(key_dir, split)) for split in info.splits}


def known_values(summary: dict[str, Any], split: Split) -> dict[str, set[str]]:
    """The values that each facet takes in a split: nothing else is ever asked of a board."""
    return {facet: set(values) for facet, values in summary[split]["facets"].items()}


def _summarise(info: ReleaseInfo, key: pa.Table) -> dict[str, Any]:
    questions: Counter[str] = Counter()
    sources: dict[str, set[str]] = defaultdict(set)
    for row in key.select(["dataset", "source", "answers"]).to_pylist():
        for question in {answer["question"] for answer in row["answers"]}:
            slug = task_slug(question, row["dataset"])
            questions[slug] += 1
            sources[slug].add(row["source"])
    order = [f"coarse-{kind}" for kind in COARSE_KINDS]
    slugs = sorted(questions, key=lambda slug: (order.index(slug) if slug in order else len(order), slug))
    tasks = [
        {
            "slug": slug,
            "title": task_title(slug, info.datasets),
            "group": "coarse" if slug in order else "fine",
            "n_questions": questions[slug],
            "n_sources": len(sources[slug]),
        }
        for slug in slugs
    ]
    facets = {facet: dict(sorted(_count(key[facet]).items())) for facet in FACETS}
    return {"tasks": tasks, "facets": {facet: values for facet, values in facets.items() if values}}


def _count(values: pa.ChunkedArray) -> Counter[str]:
    return Counter(value for value in values.to_pylist() if value is not None)
