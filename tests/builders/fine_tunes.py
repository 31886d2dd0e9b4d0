"""Answers of a base and of what was made of it. In: tables and shares; out: the options chosen, one per row."""

import numpy as np

from tests.builders.tables import Tables


def right_options(tables: Tables) -> list[int]:
    """The right option of every row of questions."""
    answers = {
        (row["dataset"], row["image_id"], answer["question"], answer["variant"]): answer["answer_idx"]
        for row in tables.key.to_pylist() for answer in row["answers"]
    }  # fmt: skip
    columns = (tables.questions[name].to_pylist() for name in ("dataset", "image_id", "question", "variant"))
    return [answers[row] for row in zip(*columns, strict=True)]


def base_answers(tables: Tables, seed: int, share: float = 0.7) -> list[int]:
    """Right at `share` of the questions, abstaining or wrong at the others."""
    rng = np.random.default_rng(seed)
    right = right_options(tables)
    return [c if rng.random() < share else (-1 if c else 1) for c in right]


def tuned_answers(tables: Tables, base: list[int], seed: int, *, lost: float = 0.25, gained: float = 0.3) -> list[int]:
    """`base` after it lost a share of its right answers and gained one of its wrong ones."""
    rng = np.random.default_rng(seed)
    found = []
    for right, chosen in zip(right_options(tables), base, strict=True):
        changes = rng.random() < (lost if chosen == right else gained)
        found.append(chosen if not changes else -1 if chosen == right else right)
    return found
