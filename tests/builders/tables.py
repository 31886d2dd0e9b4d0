"""Questions and keys in memory, without images. In: sizes and a seed; out: tables that fit each other."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from evaluator.answers import ANSWERS
from evaluator.release.schema import (
    CLASSIFICATION,
    COARSE_KINDS,
    FACETS,
    KEY,
    QUESTIONS,
    DatasetInfo,
    ReleaseInfo,
    Split,
    SplitInfo,
)  # fmt: skip

VARIANTS = (None, 0, 1)


@dataclass(frozen=True, kw_only=True)
class Tables:
    """A split's tables and the release they belong to."""

    info: ReleaseInfo
    questions: pa.Table
    key: pa.Table


def make_tables(
    *, datasets: int = 3, items: int = 60, sources: int = 20, seed: int = 0,
    variants: tuple[int | None, ...] = VARIANTS,
    kinds: tuple[str, ...] = (*COARSE_KINDS, CLASSIFICATION), vote_groups: tuple[tuple[str, ...], ...] = (),
) -> Tables:  # fmt: skip
    """`items` items dealt at random over datasets and sources; a source may occur in several datasets."""
    rng = np.random.default_rng(seed)
    names = [f"set_{i}" for i in range(datasets)]
    questions, key = [], []
    for i in range(items):
        dataset, image_id = names[i % datasets], f"img_{i:05d}"
        answers = []
        for kind in kinds:
            n_options = int(rng.integers(2, 6))
            for variant in variants:
                options = [f"{kind} {variant} option {o}" for o in range(n_options)]
                row = {"dataset": dataset, "image_id": image_id, "question": kind, "variant": variant}
                questions.append({**row, "text": f"Which {kind}?", "options": options})
                right = int(rng.integers(n_options))
                answers.append({"question": kind, "variant": variant, "answer_idx": right})
        facets: dict[str, str | None] = dict.fromkeys(FACETS)
        facets |= {"modality": ("light", "electron")[i % 2], "stain": (None, "H&E", "DAPI")[int(rng.integers(3))]}
        key.append({
            "dataset": dataset, "image_id": image_id, "original_id": image_id, "boxes": [], "answers": answers,
            "source": f"source_{int(rng.integers(sources))}", "label_name": "", **facets,
        })  # fmt: skip
    n_questions = len(questions)
    info = ReleaseInfo(
        name="Test", version="1", hash="0" * 64, public_items=False, source_rule={}, vote_groups=vote_groups,
        splits={Split.TEST: SplitInfo(items=items, questions=n_questions, sources=sources)},
        datasets={name: DatasetInfo(title=name, taxonomy="other") for name in names},
    )  # fmt: skip
    columns = {name: [row.get(name) for row in key] for name in KEY.names}
    return Tables(
        info=info, questions=pa.Table.from_pylist(questions, QUESTIONS), key=pa.table(columns, schema=KEY)
    )  # fmt: skip


def answer_table(questions: pa.Table, chosen: list[int]) -> pa.Table:
    """ANSWERS that choose `chosen`, one per row of `questions`."""
    rows = questions.select(["dataset", "image_id", "question", "variant"]).to_pylist()
    return pa.Table.from_pylist([{**row, "chosen": c} for row, c in zip(rows, chosen, strict=True)], ANSWERS)


def random_answers(questions: pa.Table, seed: int = 0) -> pa.Table:
    """ANSWERS that guess, abstaining now and then."""
    rng = np.random.default_rng(seed)
    return answer_table(questions, [int(rng.integers(-1, len(o))) for o in questions["options"].to_pylist()])
