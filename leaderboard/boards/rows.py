"""A board as stored and read: columns, rows, references. In/out: the JSON of a snapshot. Knows no query, no request."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

SCHEMA = 5  # of a snapshot's content; raise it when a field or a template of its cells changes


Cell = list[Any]  # [score, low, high, n_questions]; null scores where nothing was measured, null n where not stated
DERIVED = "derived"  # the kind of a merge's row: a checkpoint that the server made
PAPER = "paper"  # the kind of a row that the benchmark's authors published; it is no entry
Scores = dict[str, dict[str, Cell]]  # task -> model -> cell


@dataclass(frozen=True, kw_only=True)
class Column:
    """One task of a board."""

    slug: str
    title: str
    group: str  # evaluator.scoring.index.Group
    n_questions: int
    n_sources: int
    few: bool  # fewer sources than an interval can be trusted with


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model on a board. Scores are fractions; `rank` is null for what stands unranked, with the reason."""

    model: str  # slug; of a published row no slug, so that no model can have it
    name: str
    submission: str | None  # uuid; None for a published row
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
    n_questions: int | None  # None where the paper does not say
    beside: list[Any] | None = None  # coarse macro [score, low, high] where facets make fine macro the score
    precision: str = ""  # other than the official one
    agreement: float | None = None  # share of choices equal to those in the official precision, where compared
    unparsed: float | None = None  # share of replies that name no single option
    reason: str = ""  # why it stands unranked
    lead: str = ""  # its first table cells (rank, model, marks), rendered once
    html: str = ""  # the others


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
    scores: Scores  # of the tasks that were asked for
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """What a snapshot stores, but for the scores per task, which most readers of a page do not need."""
        content = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "scores"}
        return {
            **content, "schema": SCHEMA, "columns": [asdict(column) for column in self.columns],
            "rows": [vars(row) for row in self.rows],
        }  # fmt: skip

    @classmethod
    def from_json(cls, content: dict[str, Any], scores: Scores) -> "Board":
        """The inverse of `as_json`, for content of this SCHEMA only."""
        found = {**content, "columns": [Column(**column) for column in content["columns"]]}
        found["rows"] = [Row(**row) for row in content["rows"]]
        del found["schema"]
        return cls(**found, scores=scores)

    def cell(self, row: Row, task: str) -> Cell:
        """The row's score on one of the tasks that were asked for."""
        return self.scores[task][row.model]


def row_as_api(board: Board, row: Row) -> dict[str, Any]:
    """The row as the API gives it: fractions, and each task by its slug."""
    tasks = {column.slug: dict(zip(CELL_FIELDS, board.cell(row, column.slug), strict=True)) for column in board.columns}
    return {**{name: getattr(row, name) for name in API_FIELDS}, "tasks": tasks}


CELL_FIELDS = ("score", "low", "high", "n_questions")
API_FIELDS = (
    "rank", "rank_low", "rank_high", "group", "model", "submission", "kind", "verified", "protocol", "stale",
    "score", "low", "high", "n_questions", "reason", "precision", "agreement", "unparsed",
)  # fmt: skip
