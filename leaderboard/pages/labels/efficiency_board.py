"""The board of label efficiency. In: a board, the documents behind it; out: rows, figure and table as shown."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.analyses.labels.labels_to import Reached
from leaderboard.boards.render import draw, tint
from leaderboard.label_efficiency.rows import (
    EfficiencyBoard,
    EfficiencyCell,
    EfficiencyDataset,
    EfficiencyRow,
    Interval,
)
from leaderboard.pages.figures import Json
from leaderboard.pages.labels import efficiency, learning_figures

MOST_DRAWN = 8  # models whose curves are drawn: the first of the board
Documents = Mapping[str, Mapping[str, Json]]  # dataset slug -> model slug -> label-efficiency document


def rows_of(board: EfficiencyBoard, own: set[str]) -> list[dict[str, Any]]:
    """The rows in their order, with what depends on who looks. `own`: slugs of the reader's models."""
    ranked = [each for each in board.datasets if each.ranked]
    return [
        {
            "row": row, "css": _css(board.rows, place, own), "score": _score(row),
            "drawn": None if row.aulc is None else draw(row.aulc["estimate"], row.aulc["low"], row.aulc["high"]),
            "targets": _targets(row, ranked, board.dataset),
            "cells": [_tinted(row.per_dataset.get(each.slug)) for each in ranked] if board.dataset is None else [],
            "own": row.per_dataset.get(board.dataset) if board.dataset else None,
        }
        for place, row in enumerate(board.rows)
    ]  # fmt: skip


def _css(rows: Sequence[EfficiencyRow], place: int, own: set[str]) -> str:
    """Classes of tables.css: a group is held together by a bar, what is unranked stands apart."""
    row = rows[place]
    before = rows[place - 1] if place else None
    after = rows[place + 1] if place + 1 < len(rows) else None
    found = ["own"] if row.model in own else []
    if row.rank is None:
        return " ".join([*found, "off", *(["divide"] if before and before.rank is not None else [])])
    found.append("held")
    found += ["first"] if before is None or before.group != row.group else []
    found += ["last"] if after is None or after.group != row.group else []
    return " ".join(found)


def _score(row: EfficiencyRow) -> float | None:
    return None if row.aulc is None else row.aulc["estimate"]


def _tinted(cell: EfficiencyCell | None) -> dict[str, Any]:
    """A dataset's column on the overall board."""
    aulc: Interval | None = None if cell is None else cell.aulc
    estimate = None if aulc is None else aulc["estimate"]
    return {"css": tint(None if estimate is None else max(estimate, 0.0)), "score": estimate, "cell": aulc}


def _targets(row: EfficiencyRow, ranked: Sequence[EfficiencyDataset], dataset: str | None) -> list[dict[str, Any]]:
    """Labels to pass its zero-shot score and to 80 %: of one dataset, or on how many of them."""
    if dataset is not None:
        cell = row.per_dataset.get(dataset)
        return [_blank() if cell is None else efficiency.needed(cell.labels_to[target], cell.most_labels)
                for target in TARGETS]  # fmt: skip
    cells = [cell for each in ranked if (cell := row.per_dataset.get(each.slug)) is not None]
    return [_over_datasets(cells, target) for target in TARGETS]


TARGETS = ("zero_shot", "eighty_percent")


def _over_datasets(cells: Sequence[EfficiencyCell], target: str) -> dict[str, Any]:
    """'3 of 4', and with how many labels per class there."""
    asked = [cell for cell in cells if cell.labels_to[target]["state"] != Reached.NOT_APPLICABLE]
    if not asked:
        return _blank()
    reached = [cell for cell in asked if cell.labels_to[target]["state"] != Reached.NOT_REACHED]
    needed = sorted(efficiency.whole_per_class(cell.labels_to[target], cell.n_classes) for cell in reached)
    beside = ""
    if needed:
        beside = f"{needed[0]} per class" if needed[0] == needed[-1] else f"{needed[0]}–{needed[-1]} per class"
    state = Reached.REACHED if reached else Reached.NOT_REACHED
    return {"state": state, "text": f"{len(reached)} of {len(asked)}", "beside": beside}


def _blank() -> dict[str, Any]:
    return {"state": Reached.NOT_APPLICABLE, "text": "–", "beside": ""}


def drawn_rows(board: EfficiencyBoard, own: set[str]) -> list[EfficiencyRow]:
    """The rows whose curves are drawn: the first of the board, and the reader's own in place of the last of them."""
    measured = [row for row in board.rows if row.aulc is not None or row.per_dataset]
    first = measured[:MOST_DRAWN]
    missed = [row for row in measured[MOST_DRAWN:] if row.model in own][: MOST_DRAWN // 2]
    return first[: MOST_DRAWN - len(missed)] + missed


def figure(rows: Sequence[EfficiencyRow], documents: Documents, dataset: str | None) -> Json:
    """The curves of the rows: on `dataset`, or on each of `documents`, of which the reader chooses one."""
    curves = {slug: [_named(row, of_models[row.model]) for row in rows if row.model in of_models]
              for slug, of_models in documents.items()}  # fmt: skip
    chosen = learning_figures.choice_of_curves(curves, "labels per class")
    return chosen if dataset is None else learning_figures.without_choice(chosen, dataset)


def _named(row: EfficiencyRow, document: Json) -> learning_figures.Named:
    zero_shot = document["zero_shot"]
    return learning_figures.Named(
        name=row.name, labels=[each["per_class"] for each in document["budgets"]],
        scores=[each["same"]["balanced_accuracy"]["estimate"] for each in document["budgets"]],
        level=None if zero_shot is None else zero_shot["balanced_accuracy"]["estimate"],
    )  # fmt: skip


def table(rows: Sequence[EfficiencyRow], documents: Documents, board: EfficiencyBoard) -> list[dict[str, Any]]:
    """Every number of the figure: a group of rows per dataset, a row per model, a cell per budget of the board."""
    titles = {each.slug: each.title for each in board.datasets}
    return [
        {"title": titles[slug], "rows": [_curve_row(row, of_models[row.model], board.per_class)
                                         for row in rows if row.model in of_models]}
        for slug, of_models in documents.items()
    ]  # fmt: skip


def _curve_row(row: EfficiencyRow, document: Json, per_class: Sequence[int]) -> dict[str, Any]:
    scores = {each["per_class"]: each["same"]["balanced_accuracy"] for each in document["budgets"]}
    zero_shot = document["zero_shot"]
    return {
        "row": row, "cells": [scores.get(each) for each in per_class],
        "zero_shot": None if zero_shot is None else zero_shot["balanced_accuracy"],
        "ceiling": document["ceiling"]["balanced_accuracy"],
    }  # fmt: skip
