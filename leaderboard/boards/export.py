"""A board as a file. In: a board and the rows a reader sees; out: CSV with fractions, as in the API."""

import csv
import io

from leaderboard.boards.rows import Board, Row

LEAD = (
    "rank", "rank_low", "rank_high", "group", "model", "name", "submission", "kind", "verified", "protocol", "stale",
    "score", "low", "high", "n_questions", "reason", "precision", "agreement",
    "unparsed",
)  # fmt: skip
# A cell that starts with one of these is run as a formula by spreadsheets.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(board: Board, rows: list[Row]) -> str:
    """One line per row; three columns per task: score, low, high. Nothing measured is an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file)
    tasks = [f"{column.slug}{part}" for column in board.columns for part in ("", "_low", "_high")]
    writer.writerow([*LEAD, *tasks])
    for row in rows:
        cells = [value for column in board.columns for value in board.cell(row, column.slug)[:3]]
        writer.writerow([*(safe(getattr(row, name)) for name in LEAD), *cells])
    return file.getvalue()


def safe(value: object) -> object:
    """The value, as text where a spreadsheet would run it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
