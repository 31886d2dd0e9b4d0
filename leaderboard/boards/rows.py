"""A board as stored and read: columns, rows, references. In/out: the JSON of a snapshot. Knows no query, no request."""

from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1  # of a snapshot's content; raise it when a field or templates/boards/_row.html changes


@dataclass(frozen=True, kw_only=True)
class Column:
    """One task of a board."""

    slug: str
    title: str
    group: str  # "coarse" or "fine"
    n_questions: int
    n_sources: int
    few: bool  # fewer sources than an interval can be trusted with


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model on a board. Scores are fractions; `rank` is null for what stands unranked, with the reason."""

    model: str  # slug
    name: str
    submission: str  # uuid
    submissions: int  # how many the model has had on this split, published or not
    kind: str
    verified: bool
    protocol: str
    stale: bool
    weak_sandbox: bool
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    group: int | None
    score: float | None
    low: float | None
    high: float | None
    n_questions: int
    cells: list[list[Any]]  # per column: [score, low, high, n_questions]; null scores where nothing was measured
    beside: list[Any] | None = None  # coarse macro [score, low, high] where facets make fine macro the score
    reason: str = ""  # why it stands unranked
    html: str = ""  # its table cells, rendered once


@dataclass(frozen=True, kw_only=True)
class Board:
    """One ranked view of a split, ranked rows first."""

    title: str
    metric: str
    n_tasks: int
    n_questions: int
    n_sources: int
    resolvable_difference: float | None
    chance: float | None
    majority: float | None
    columns: list[Column]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """What a snapshot stores."""
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Board":
        """The inverse of `as_json`, for content of this SCHEMA only."""
        values = {name: value for name, value in found.items() if name != "schema"}
        columns = [Column(**column) for column in values.pop("columns")]
        return cls(columns=columns, rows=[Row(**row) for row in values.pop("rows")], **values)


def row_as_api(row: Row, columns: list[Column]) -> dict[str, Any]:
    """The row as the API gives it: fractions, and each task by its slug."""
    facts = {name: getattr(row, name) for name in API_FIELDS}
    tasks = {
        column.slug: dict(zip(("score", "low", "high", "n_questions"), cell, strict=True))
        for column, cell in zip(columns, row.cells, strict=True)
    }
    return {**facts, "tasks": tasks}


API_FIELDS = (
    "rank", "rank_low", "rank_high", "group", "model", "submission", "kind", "verified", "protocol", "stale",
    "score", "low", "high", "n_questions", "reason",
)  # fmt: skip
