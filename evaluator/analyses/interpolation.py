"""What merging a fine-tune with its base gives. In: the answers at every α and the keys; out: the document.

α is the weight of the tuned model: 0 is the base, 1 the tuned model. It is chosen on one split and reported on another.
Pure: the same input gives the same bytes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluator.analyses import ANALYSIS_VERSION
from evaluator.analyses.curves import (
    INSIDE,
    MACRO,
    OUTSIDE,
    Curves,
    alpha_documents,
    curves_of,
    difference,
    estimates_at,
    mean_replicates,
)
from evaluator.analyses.ensemble import ensemble_choices
from evaluator.analyses.selection import BEST_MACRO, WITHIN_ONE_POINT, best_macro, within_one_point
from evaluator.analyses.splits import SplitKey, load_split, marks_of
from evaluator.analyses.target import Target, target_document
from evaluator.answering.sweeps.sweep_answers import answers_at
from evaluator.answers import align
from evaluator.errors import InputError, Problem
from evaluator.release.schema import Split
from evaluator.scoring.report import rounded
from evaluator.scoring.sums import mark

__all__ = ["SplitKey", "load_split", "score_sweep"]

SCHEMA = 1
PARENTS = {0.0: "base", 1.0: "tuned model"}
Drawn = Mapping[str, NDArray[np.float64]]  # (A, B) replicates of every mean of the reported split


def score_sweep(
    splits: Mapping[Split, SplitKey], sweep: pa.Table, record: Mapping[str, Any], target: Target | None, *,
    reported: Split, select_on: Split | None, head: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The interpolation document of a sweep; definitions: docs/decisions.md, "Interpolation".

    splits: the key of every split that the sweep answered. sweep: SWEEP, which is ANSWERS with `split` and `alpha`.
    record: of the run, with `alphas`, `broken`, `merge` and `logit_scale` (the logits' factors). select_on: the split
    that α is chosen on, None = no choice. head: of `analysis_head` for the reported split.
    Raises InputError: `parent_broken` where base or tuned gave no answers, `nothing_answered` where no core task was
    answered, what `target_rows` raises for the reported split, and what the scorer raises for answers.
    """
    alphas = _answered_alphas(sweep, [split for split in (reported, select_on) if split], record)
    curves = _read_curves(splits[reported], sweep, alphas, target, strict=True)
    dev = None if select_on is None else _read_curves(splits[select_on], sweep, alphas, target, strict=False)
    drawn = mean_replicates(curves)
    selected = None if dev is None else _selected(curves, drawn, dev)
    return rounded({
        "schema": SCHEMA, "analysis": "interpolation", "version": ANALYSIS_VERSION, **head,
        "select_on": None if select_on is None else str(select_on), "variant": curves.variant,
        "target": target_document(target),
        "alphas": alpha_documents(curves, drawn, hidden=not reported.key_is_public),
        "dev": [] if dev is None else _dev(dev),
        "ensemble": _ensemble(splits[reported], sweep, record, alphas, target), "selected": selected,
        "selected_alpha": None if selected is None else selected["best_macro"]["alpha"],
        "broken": list(record.get("broken", [])), "merge": record.get("merge"),
    })  # fmt: skip


def _answered_alphas(sweep: pa.Table, splits: list[Split], record: Mapping[str, Any]) -> NDArray[np.float64]:
    """(A,) the α in ascending order that have answers in every split."""
    given = [
        set(sweep.filter(pc.equal(sweep["split"].cast(pa.string()), str(split)))["alpha"].unique().to_pylist())
        for split in splits
    ]
    found = sorted(set.intersection(*given))
    why = {entry["alpha"]: entry["message"] for entry in record.get("broken", [])}
    problems = [
        Problem(
            code="parent_broken",
            message=f"At alpha {alpha:g} the sweep has no answers: {why.get(alpha, 'it was not asked there')}. A merge "
            f"is compared with its {name}, so sweep again with a {name} that answers.",
        )
        for alpha, name in PARENTS.items() if alpha not in found
    ]  # fmt: skip
    if problems:
        raise InputError(problems)
    return np.array(found, dtype=np.float64)


def _read_curves(
    split: SplitKey, sweep: pa.Table, alphas: NDArray[np.float64], target: Target | None, *, strict: bool
) -> Curves:
    """Marks of every α become curves. strict: a target that matches no item of this split is an error."""
    name = split.index.split
    marks = np.stack([marks_of(split, answers_at(sweep, name, alpha)) for alpha in alphas.tolist()])
    return curves_of(split.index, alphas, marks, target, strict=strict)


def _dev(dev: Curves) -> list[dict[str, Any]]:
    """What α is chosen by."""
    macro = dev.means[MACRO].accuracy.tolist()
    inside = dev.means[INSIDE].accuracy.tolist() if INSIDE in dev.means else [None] * len(macro)
    return [
        {"alpha": alpha, "macro": overall, "inside": own}
        for alpha, overall, own in zip(dev.alphas.tolist(), macro, inside, strict=True)
    ]


def _selected(curves: Curves, drawn: Drawn, dev: Curves) -> dict[str, Any]:
    macro = dev.means[MACRO].accuracy
    found: dict[str, Any] = {
        "best_macro": _at(curves, drawn, best_macro(macro), BEST_MACRO), "within_one_point": None,
        "within_one_point_reason": dev.no_inside,
    }  # fmt: skip
    if INSIDE in dev.means:
        place = within_one_point(macro, dev.means[INSIDE].accuracy)
        found["within_one_point"] = _at(curves, drawn, place, WITHIN_ONE_POINT)
    return found


def _at(curves: Curves, drawn: Drawn, place: int, rule: str) -> dict[str, Any]:
    """A chosen α on the reported split: its means, and what they are above both parents."""
    estimates = estimates_at(curves, drawn, place)
    parents = {"vs_base": 0, "vs_tuned": len(curves.alphas) - 1}
    names = (MACRO, INSIDE, OUTSIDE)
    return {
        "alpha": float(curves.alphas[place]), "rule": rule, **{name: estimates.get(name) for name in names},
        **{
            versus: {name: difference(curves, drawn, name, parent, place) for name in names}
            for versus, parent in parents.items()
        },
    }  # fmt: skip


def _ensemble(
    split: SplitKey, sweep: pa.Table, record: Mapping[str, Any], alphas: NDArray[np.float64], target: Target | None
) -> list[dict[str, Any]]:
    """The comparison line: the same two models, their logits mixed instead of their weights. Empty without scores."""
    base, tuned = (align(answers_at(sweep, split.index.split, alpha), split.questions) for alpha in PARENTS)
    scale = record.get("logit_scale") or {}
    chosen = ensemble_choices(
        base, tuned, alphas, base_scale=scale.get("base") or 1.0, tuned_scale=scale.get("tuned") or 1.0
    )
    if chosen is None:
        return []
    curves = curves_of(split.index, alphas, np.stack([mark(split.index, own) for own in chosen]), target, strict=True)
    drawn = mean_replicates(curves)
    documents = []
    for place, alpha in enumerate(alphas.tolist()):
        means = estimates_at(curves, drawn, place)
        sides = {side: means.pop(side, None) for side in (INSIDE, OUTSIDE)}
        documents.append({"alpha": alpha, "aggregates": means, **sides})
    return documents
