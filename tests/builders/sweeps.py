"""Answers at every α without weights. In: tables and a seed; out: what a sweep of a base and its fine-tune gives."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from evaluator.answering.options import choose
from evaluator.answering.sweeps.sweep_answers import SWEEP
from evaluator.release.schema import Split
from tests.builders.fine_tunes import right_options
from tests.builders.tables import Tables


@dataclass(frozen=True, kw_only=True)
class Swept:
    """A sweep's table, and the options chosen per α, one per row of each split's questions."""

    table: pa.Table
    chosen: dict[Split, dict[float, list[int]]]


def make_sweep(
    splits: dict[Split, Tables], alphas: tuple[float, ...], seed: int = 0, *, broken: tuple[float, ...] = ()
) -> Swept:
    """Cosines that pass from the base's to the tuned model's, and in between favour the right option."""
    rng = np.random.default_rng(seed)
    parts, chosen = [], {}
    for split, tables in splits.items():
        lengths = [len(options) for options in tables.questions["options"].to_pylist()]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        right = offsets[:-1] + right_options(tables)
        base, tuned = rng.normal(0.2, 0.05, (2, offsets[-1]))
        base[right] += 0.05
        tuned[right] += 0.03
        chosen[split] = {}
        for alpha in alphas:
            if alpha in broken:
                continue
            scores = (1 - alpha) * base + alpha * tuned
            scores[right] += 0.08 * alpha * (1 - alpha)
            scores = scores.astype(np.float32)
            own = choose(scores, offsets).tolist()
            chosen[split][alpha] = own
            parts.append(_rows(tables, split, alpha, own, np.split(scores, offsets[1:-1])))
    return Swept(table=pa.concat_tables(parts), chosen=chosen)


def _rows(tables: Tables, split: Split, alpha: float, chosen: list[int], scores: list[np.ndarray]) -> pa.Table:
    rows = tables.questions.select(["dataset", "image_id", "question", "variant"]).to_pylist()
    kept = [own.tolist() if alpha in (0, 1) else None for own in scores]
    found = [
        {**row, "chosen": c, "scores": s, "split": str(split), "alpha": alpha}
        for row, c, s in zip(rows, chosen, kept, strict=True)
    ]
    return pa.Table.from_pylist(found, SWEEP)
