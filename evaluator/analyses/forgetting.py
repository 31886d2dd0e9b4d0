"""What a fine-tune forgot and what it gained. In: marks of base and tuned on one split; out: the document.

Tuned minus base on the questions that both answered, per task and facet, inside and outside the target domain. Pure:
the same input gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluator.analyses import ANALYSIS_VERSION
from evaluator.analyses.cells import BASE, TUNED, adjust, cell, flips, mean, measure
from evaluator.analyses.figures import averaged_columns, facet_figures, wordings
from evaluator.analyses.paired import Column, Figure, columns_of, mean_figure, narrow, source_differences, task_figure
from evaluator.analyses.retained import retained_share
from evaluator.analyses.target import Target, target_document, target_rows
from evaluator.errors import InputError
from evaluator.release.schema import ReleaseInfo, Split
from evaluator.scoring.index import Group, KeyIndex
from evaluator.scoring.report import rounded
from evaluator.statistics.paired import swapped_sums

SCHEMA = 1
SIDES = ("all", "inside", "outside")
Sides = Mapping[str, Mapping[int, Column]]  # by side, then by task code

__all__ = ["Side", "analysis_head", "common_wording", "forgetting"]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two models: its marks (n,) per question row, as `Scored.correct`, and its protocol."""

    correct: NDArray[np.float32]
    protocol: str


def analysis_head(info: ReleaseInfo, split: Split, *, key_revision: int) -> dict[str, Any]:
    """What a document says of what it was computed on."""
    return {
        "release": {"name": info.name, "version": info.version, "hash": info.hash},
        "split": str(split),
        "key_revision": key_revision,
    }


def forgetting(
    index: KeyIndex, base: Side, tuned: Side, target: Target | None, *, chance: NDArray[np.float32], hidden: bool,
    head: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """The forgetting document of `tuned` against `base`; definitions: docs/decisions.md, "Forgetting".

    target: None or empty: nothing is inside. chance: (n,) of `baselines.chance_marks`. hidden: a target's cells and
    facet values of fewer than ten sources then show their n alone. head: of `analysis_head`. Tasks are answered whole
    by either side, or not at all, as the scorer sees to.
    Raises InputError: `no_common_wording`, and what `target_rows` raises.
    """
    variant = common_wording(index, base.correct, tuned.correct)
    rows, missing = _compared_rows(index, base.correct, tuned.correct, variant)
    inside = target_rows(index, target)[rows] if target else None
    marks = np.stack([base.correct, tuned.correct, np.nan_to_num(chance)])[:, rows]
    compared = _Compared(index=narrow(index, rows), marks=marks, variant=variant, hidden=hidden)
    columns = _side_columns(compared, inside)
    sides = SIDES if inside is not None else SIDES[:1]
    tasks, facets = _tasks(compared, columns, sides), _facets(compared)
    adjust([*(row["all"] for row in tasks), *(row[group] for row in facets for group in ("fine", "coarse"))])
    for side in sides[1:]:
        adjust(row[side] for row in tasks)
    if inside is None:
        tasks = [row | {"outside": row["all"]} for row in tasks]
    return rounded({
        "schema": SCHEMA, "analysis": "forgetting", "version": ANALYSIS_VERSION, **head, "variant": variant,
        "base": {"protocol": str(base.protocol)}, "tuned": {"protocol": str(tuned.protocol)},
        "target": target_document(target), "tasks": tasks, "facets": facets,
        "headline": _headline(compared, columns, sides), "missing": missing,
    })  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """The rows that both answered in the common wording. marks: (3, n) of base, tuned and chance."""

    index: KeyIndex
    marks: NDArray[np.float32]
    variant: int | None
    hidden: bool


def common_wording(index: KeyIndex, base: NDArray[np.float32], tuned: NDArray[np.float32]) -> int | None:
    """The wording in which the core tasks of both are compared: captions 1, else the question form, else captions 0.

    None, the question form, too where neither answered a core task but both another one. Raises InputError
    (`no_common_wording`) when there is no question of the same wording that both answered.
    """
    both, any_side = ~np.isnan(base) & ~np.isnan(tuned), ~np.isnan(base) | ~np.isnan(tuned)
    if common := wordings(index, both):
        return common[0]
    if not wordings(index, any_side) and (both & index.rows_of(None)).any():
        return None
    raise InputError.single(
        "no_common_wording",
        f"The base answered {_asked(index, base)}, the tuned model {_asked(index, tuned)}: no question of the "
        "same task and wording was put to both. Answer the split again with one of them, by the other's protocol.",
    )


def _asked(index: KeyIndex, correct: NDArray[np.float32]) -> str:
    names: dict[int | None, str] = {None: "the question form", 0: "captions 0", 1: "captions 1"}
    return " and ".join(names[v] for v in wordings(index, ~np.isnan(correct))) or "no coarse or fine task"


def _compared_rows(
    index: KeyIndex, base: NDArray[np.float32], tuned: NDArray[np.float32], variant: int | None
) -> tuple[NDArray[np.bool_], dict[str, list[str]]]:
    """(n,) the rows that both answered, and the tasks that drop out because one side lacks them."""
    asked = index.headline_rows(variant)
    answered = {"base": asked & ~np.isnan(base), "tuned": asked & ~np.isnan(tuned)}
    has = {side: np.bincount(index.task[rows], minlength=len(index.tasks)) > 0 for side, rows in answered.items()}
    missing = {
        side: [index.tasks[code].slug for code in np.flatnonzero(has[other] & ~has[side])]
        for side, other in (("base", "tuned"), ("tuned", "base"))
    }
    return answered["base"] & answered["tuned"], missing


def _side_columns(compared: _Compared, inside: NDArray[np.bool_] | None) -> Sides:
    """The columns of every side by task code. Without a target everything is outside."""
    index, marks, variant = compared.index, compared.marks, compared.variant
    whole = columns_of(index, np.ones(len(index.task), dtype=bool), marks, variant)
    if inside is None:
        return {"all": whole, "inside": {}, "outside": whole}
    return {
        "all": whole, "inside": columns_of(index, inside, marks, variant),
        "outside": columns_of(index, ~inside, marks, variant),
    }  # fmt: skip


def _tasks(compared: _Compared, columns: Sides, sides: Sequence[str]) -> list[dict[str, Any]]:
    """One row per task; where no target splits it, `outside` is a copy of `all`."""
    index = compared.index
    places = [(code, side) for code in columns["all"] for side in sides if code in columns[side]]
    measured = measure(index, [task_figure(columns[side][code]) for code, side in places])
    cells = {
        (code, side): cell(index, found, guarded=compared.hidden and side != "all")
        for (code, side), found in zip(places, measured, strict=True)
    }
    rows = []
    for code in columns["all"]:
        task = index.tasks[code]
        row: dict[str, Any] = {
            "task": task.slug,
            "group": str(task.group),
            "question": task.question,
            "dataset": task.dataset,
        }
        rows.append(row | {side: cells.get((code, side)) for side in SIDES})
    return rows


def _facets(compared: _Compared) -> list[dict[str, Any]]:
    """One row per facet value: the means of its fine and of its coarse tasks, as in a report."""
    index = compared.index
    rows: list[dict[str, Any]] = []
    places: list[tuple[dict[str, Any], Group]] = []
    figures: list[Figure] = []
    for found in facet_figures(index, compared.marks, compared.variant):
        rows.append({"facet": found.facet, "value": found.value, "fine": None, "coarse": None})
        for group, figure in found.groups.items():
            places.append((rows[-1], group))
            figures.append(figure)
    for (row, group), measured in zip(places, measure(index, figures), strict=True):
        row[group] = cell(index, measured, guarded=compared.hidden)
    return rows


def _headline(compared: _Compared, columns: Sides, sides: Sequence[str]) -> dict[str, Any]:
    index = compared.index
    averaged = {side: averaged_columns(index, columns[side]) for side in SIDES}
    figures = {side: figure for side in sides if (figure := mean_figure(index, averaged[side]))}
    means = dict(zip(figures, measure(index, list(figures.values())), strict=True))
    return {
        "outside": mean(means.get("outside" if "outside" in sides else "all")),
        "inside": mean(means.get("inside")) if "inside" in sides else None,
        "all": mean(means.get("all")),
        "retained_share": retained_share(index, averaged["outside"]),
        "positive_part": _positive_part(index, averaged["outside"]),
        "flips": _flips(index, columns["all"]),
    }


def _positive_part(index: KeyIndex, columns: Sequence[Column]) -> dict[str, Any]:
    """Mean over tasks of max(0, base − tuned), beside its mean over swaps: it is above 0 even where nothing changed."""
    figure = mean_figure(index, columns)
    if figure is None:
        return {"estimate": None, "expected": None, "n_tasks": 0}
    differences = np.stack(
        [source_differences(task_figure(column), index.n_sources, TUNED, BASE) for column in figure.columns], axis=1
    )
    swapped = swapped_sums(differences, index.seed)
    return {
        "estimate": float(figure.votes @ np.maximum(differences.sum(axis=0), 0)),
        "expected": float((np.maximum(swapped, 0) @ figure.votes).mean()), "n_tasks": len(figure.columns),
    }  # fmt: skip


def _flips(index: KeyIndex, columns: Mapping[int, Column]) -> dict[str, int]:
    """Questions of core tasks, inside and outside, whose answer went from right to wrong and back."""
    core = [column for code, column in columns.items() if index.tasks[code].group.is_core]
    found = [flips(index, task_figure(column)) for column in core]
    return {
        "lost": sum(lost or 0 for lost, _ in found), "gained": sum(gained or 0 for _, gained in found),
        "n_questions": sum(column.n_questions for column in core),
    }  # fmt: skip
