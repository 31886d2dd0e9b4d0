"""What a release holds, in numbers that are safe to publish. In: a release folder with its keys; out: Release.summary.

{"<split>": {"tasks": [{"slug", "title", "group", "n_questions", "n_sources"}],
             "facets": {"<facet>": {"<value>": number of items}}}}
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evaluator.release.key import read_key
from evaluator.release.read import read_questions
from evaluator.release.schema import FACETS, ReleaseInfo, Split
from evaluator.release.tasks import task_title
from evaluator.scoring.index import Group, KeyIndex, build_index


def summarise_release(info: ReleaseInfo, folder: Path, key_dir: Path) -> dict[str, Any]:
    """Release.summary of the release in `folder` whose keys lie in `key_dir`.

    A question counts once, whatever its variants.
    """
    return {
        split.value: _summarise(info, split, read_questions(folder, split), read_key(key_dir, split))
        for split in info.splits
    }


def known_values(summary: dict[str, Any], split: Split) -> dict[str, set[str]]:
    """The values that each facet takes in a split: nothing else is ever asked of a board."""
    return {facet: set(values) for facet, values in summary[split]["facets"].items()}


def _summarise(info: ReleaseInfo, split: Split, questions: pa.Table, key: pa.Table) -> dict[str, Any]:
    index = build_index(info, split, questions, key)
    tasks = [
        {
            "slug": task.slug,
            "title": task_title(task.slug, info.datasets),
            "group": str(task.group),
            "n_questions": _n_questions(index, code),
            "n_sources": len(np.unique(index.source[index.task == code])),
        }
        for code, task in enumerate(index.tasks)
    ]
    facets = {facet: dict(sorted(_count(key[facet]).items())) for facet in FACETS}
    return {"tasks": tasks, "facets": {facet: values for facet, values in facets.items() if values}}


def _n_questions(index: KeyIndex, code: int) -> int:
    """One per item; of cognition, whose items have several, one per row."""
    rows = index.task == code
    return int(rows.sum()) if index.tasks[code].group is Group.COGNITION else len(np.unique(index.item[rows]))


def _count(values: pa.ChunkedArray) -> Counter[str]:
    return Counter(value for value in values.to_pylist() if value is not None)
