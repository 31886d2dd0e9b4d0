"""The official code's looser reading of a raw reply, beside our strict one. In: replies and a key; out: accuracies.

It needs the right answer to read a reply, so only the scorer can apply it; boards rank by the strict parser.
"""

from string import ascii_uppercase
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.release.prompts import letter_options
from evaluator.scoring.aggregates import Aggregate, aggregate_means
from evaluator.scoring.index import KeyIndex


def is_right_by_paper_rule(reply: str, options: list[str], right: int) -> bool:
    """Whether the lettered right option stands in the reply (case-sensitive) or its letter is the first character.

    Looser than the strict parser (a reply that lists every option is right; so is "An …" where A is) and in places
    narrower ("(B)" and "b" are wrong). The reply is taken as it is, not stripped. Source: eVLLM, check_prediction.
    """
    return letter_options(options)[right] in reply or reply[:1] == ascii_uppercase[right]


def score_by_paper_rule(index: KeyIndex, answers: pa.Table, questions: pa.Table) -> dict[str, Any] | None:
    """Accuracies by the paper's rule of all question forms that were answered by a raw reply; None where none was.

    answers: aligned to questions. Point estimates: the rule is a reference, and nothing is ranked by it.
    """
    rows = np.flatnonzero(index.rows_of(None) & answers["text"].is_valid().to_numpy())
    if not len(rows):
        return None
    replies, options = answers["text"].take(pa.array(rows)), questions["options"].take(pa.array(rows))
    asked = zip(replies.to_pylist(), options.to_pylist(), index.answer[rows].tolist(), strict=True)
    right = np.array([is_right_by_paper_rule(*row) for row in asked], dtype=np.float64)
    n_tasks = len(index.tasks)
    correct = np.bincount(index.task[rows], weights=right, minlength=n_tasks).astype(np.float64)
    count = np.bincount(index.task[rows], minlength=n_tasks).astype(np.float64)
    means = aggregate_means(index, correct, count, count > 0)
    return {
        "n_replies": len(rows),
        "tasks": _tasks(index, correct, count),
        "aggregates": {
            str(aggregate): None if np.isnan(mean) else float(mean)
            for aggregate, mean in zip(Aggregate, means, strict=True)
        },
    }


def _tasks(index: KeyIndex, correct: NDArray[np.float64], count: NDArray[np.float64]) -> list[dict[str, Any]]:
    return [
        {"task": task.slug, "n_questions": int(n), "accuracy": float(right / n)}
        for task, right, n in zip(index.tasks, correct, count, strict=True) if n
    ]  # fmt: skip
