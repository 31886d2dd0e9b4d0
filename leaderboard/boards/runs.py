"""What an entry's run adds to the marks of its row. In: a computed board and its entries; out: the board, marked."""

from collections.abc import Iterable
from dataclasses import replace

from leaderboard.boards.entries import LiveEntry
from leaderboard.boards.render import with_lead
from leaderboard.boards.rows import Board


def with_runs(board: Board, entries: Iterable[LiveEntry]) -> Board:
    """The board whose rows say what precision other than the official one they had, and how much was not parsed."""
    noted = {entry.model: entry for entry in entries if entry.precision or entry.unparsed}
    rows = [
        with_lead(replace(row, precision=entry.precision, agreement=entry.agreement, unparsed=entry.unparsed))
        if (entry := noted.get(row.model)) else row
        for row in board.rows
    ]  # fmt: skip
    return replace(board, rows=rows)
