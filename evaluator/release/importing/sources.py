"""Which source an item was cut from. In: rules per dataset; out: a source name per item."""

import re
from collections.abc import Mapping

from evaluator.errors import ProblemLog


class SourceRules:
    """dataset -> regex on image_id; its first group (or the whole match) is the source. No rule: image_id itself."""

    def __init__(self, rules: Mapping[str, str]) -> None:
        problems = ProblemLog()
        self._patterns: dict[str, re.Pattern[str]] = {}
        for dataset, rule in rules.items():
            try:
                self._patterns[dataset] = re.compile(rule)
            except re.error as error:
                message = f"--source {dataset}={rule}: not a regular expression ({error}). Correct it."
                problems.add("bad_source_rule", message)
        problems.raise_if_any()

    @property
    def datasets(self) -> set[str]:
        return set(self._patterns)

    def source(self, dataset: str, image_id: str) -> str | None:
        """The source of an item, or None when the dataset's rule does not match."""
        pattern = self._patterns.get(dataset)
        if pattern is None:
            return image_id
        match = pattern.search(image_id)
        if match is None:
            return None
        return match[1] if pattern.groups else match[0]
