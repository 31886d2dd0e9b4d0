"""A row's table cells as HTML, made once when the board is computed. In: a Row; out: text without its <tr>."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.template.loader import get_template

from leaderboard.boards.marks import marks_of
from leaderboard.boards.rows import Board, Row
from leaderboard.numbers import MISSING, percent, position

SCALE = (0, 25, 50, 75, 100)  # percent, the same on every board
TINTS = 10  # classes t0 … t9 of tables.css


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """An interval on the board's common scale from 0 to 100, as SVG lengths."""

    point: str
    left: str
    width: str


def with_html(row: Row, scores: Sequence[float | None], place: str) -> Row:
    """The row with its cells rendered. `scores`: one per column; `place`: <release>/<split>, for the report's address.

    The address names the model, which the row holds anyway, and no UUID: 500 of those do not compress.
    """
    cells = [(tint(score), percent(score)) for score in scores]
    context = {"row": row, "drawn": drawn(row), "cells": cells, "place": place}
    return with_lead(replace(row, html=get_template("boards/_row.html").render(context).strip()))


def with_lead(row: Row) -> Row:
    """The row with its first cells (rank, model, marks) rendered, again where a mark was added."""
    context = {"row": row, "marks": marks_of(row)}
    return replace(row, lead=get_template("boards/_row_lead.html").render(context).strip())


def draw(score: float | None, low: float | None, high: float | None) -> Drawn | None:
    """Where the interval stands; None when nothing was measured. Without an interval it has no width."""
    if score is None:
        return None
    low, high = (score if low is None else low), (score if high is None else high)
    return Drawn(point=position(score), left=position(low), width=position(high - low))


def drawn(row: Row) -> Drawn | None:
    """The drawing of a row's score."""
    return draw(row.score, row.low, row.high)


def references(board: Board) -> dict[str, str | None]:
    """Where chance and majority stand on the scale."""
    return {
        "chance": None if board.chance is None else position(board.chance),
        "majority": None if board.majority is None else position(board.majority),
    }


def tint(score: float | None) -> str:
    """The class of a cell: ten very light steps of accuracy."""
    return "t" if score is None else f"t{min(int(score * TINTS), TINTS - 1)}"


def rank_interval(row: Row) -> str:
    """'1–3', or '2' when the interval is one rank, or a dash for what stands unranked."""
    if row.rank is None or row.rank_low is None:
        return MISSING
    return str(row.rank_low) if row.rank_low == row.rank_high else f"{row.rank_low}–{row.rank_high}"
