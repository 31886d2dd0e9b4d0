"""What a reader chooses of a board. In: a query string; out: a checked View, and the rows it shows in its order.

Facets choose another board (its ranks are computed anew); kind, protocol and verified only hide rows: ranks stay.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from django.http import QueryDict

from evaluator.answers import Protocol
from evaluator.errors import InputError, Problem
from evaluator.release.schema import FACETS, ReleaseInfo, Split
from leaderboard.boards.names import default_split
from leaderboard.boards.rows import DERIVED, PAPER, Board, Row
from leaderboard.boards.summary import known_values
from leaderboard.models.submissions import SubmissionKind

PLAIN_SORTS = ("rank", "model", "score", "n")
MOST_FACET_VALUES = 12


@dataclass(frozen=True, kw_only=True)
class View:
    """A checked query string of a board page."""

    split: Split
    facets: dict[str, tuple[str, ...]] = field(default_factory=dict)  # values of one facet are alternatives
    kind: str = ""
    protocol: str = ""
    verified: bool = False
    sort: str = "rank"
    descending: bool = False
    all_columns: bool = False

    @property
    def facet_query(self) -> str:
        """The canonical name of the facet selection: the same for every order of asking."""
        return urlencode([(facet, value) for facet in FACETS for value in sorted(self.facets.get(facet, ()))])

    @property
    def sorted_tasks(self) -> tuple[str, ...]:
        """The tasks whose scores are needed to sort."""
        return () if self.sort in PLAIN_SORTS else (self.sort,)

    @property
    def is_default_order(self) -> bool:
        return self.sort == "rank" and not self.descending

    def query(self, **changes: object) -> str:
        """The query string of this view with some choices changed; defaults are left out, except the split."""
        view = replace(self, **changes)  # type: ignore[arg-type]
        pairs: list[tuple[str, str]] = [("split", view.split)]
        pairs += [(facet, value) for facet in FACETS for value in sorted(view.facets.get(facet, ()))]
        pairs += [(name, value) for name in ("kind", "protocol") if (value := getattr(view, name))]
        pairs += [("verified", "1")] if view.verified else []
        pairs += [("columns", "all")] if view.all_columns else []
        if not view.is_default_order:
            pairs += [("sort", view.sort), ("order", "desc" if view.descending else "asc")]
        return urlencode(pairs)


def read_view(query: QueryDict, info: ReleaseInfo, summary: dict) -> View:
    """The view that a query string asks for. Raises InputError naming every choice that does not exist."""
    split = _split(query, info)
    problems = list(_unknown_choices(query, [task["slug"] for task in summary[split]["tasks"]]))
    facets, facet_problems = _facets(query, known_values(summary, split))
    if problems + facet_problems:
        raise InputError(problems + facet_problems)
    sort = query.get("sort", "rank")
    descending_first = sort not in ("rank", "model")
    return View(
        split=split, facets=facets, kind=query.get("kind", ""), protocol=query.get("protocol", ""),
        verified=query.get("verified", "") not in ("", "0"), sort=sort,
        descending=query.get("order", "desc" if descending_first else "asc") == "desc",
        all_columns=query.get("columns") == "all",
    )  # fmt: skip


def shown_rows(board: Board, view: View) -> list[Row]:
    """The rows that the view leaves, in its order. Raises InputError when it sorts by a column that is not there."""
    rows = [row for row in board.rows if not hidden_because(row, view)]
    if view.is_default_order:
        return rows
    value = _sort_value(board, view.sort)
    known = [row for row in rows if value(row) is not None]
    known.sort(key=value, reverse=view.descending)  # type: ignore[arg-type]
    return known + [row for row in rows if value(row) is None]  # what was not measured never leads


def hidden_because(row: Row, view: View) -> str:
    """Why the view hides the row; empty when it shows it. References stay: only `kind` hides them."""
    if view.kind and row.kind != view.kind:
        return f"it is {KIND_WORDS[row.kind]}"
    if row.kind in (SubmissionKind.BASELINE, PAPER):
        return ""
    if view.protocol and row.protocol != view.protocol:
        return f"its protocol is {row.protocol}"
    if view.verified and not row.verified:
        return "it is not verified"
    return ""


KINDS = (*SubmissionKind.values, DERIVED, PAPER)
KIND_WORDS: dict[str, str] = {
    SubmissionKind.CHECKPOINT: "a checkpoint", SubmissionKind.PREDICTIONS: "a prediction file",
    SubmissionKind.BASELINE: "a baseline", DERIVED: "a merge", PAPER: "reported in the paper",
}  # fmt: skip


def _sort_value(board: Board, sort: str) -> Callable[[Row], float | str | None]:
    plain: dict[str, Callable[[Row], float | str | None]] = {
        "rank": lambda row: row.rank,
        "model": lambda row: row.name.casefold(),
        "score": lambda row: row.score,
        "n": lambda row: row.n_questions,
    }
    if sort in plain:
        return plain[sort]
    if sort in board.scores:
        return lambda row: board.cell(row, sort)[0]
    raise InputError.single("unknown_sort", f"This board has no column {sort!r} to sort by.", field="sort")


def _split(query: QueryDict, info: ReleaseInfo) -> Split:
    asked = query.get("split", "")
    if not asked:
        return default_split(info)
    if asked not in [split.value for split in info.splits]:
        held = ", ".join(info.splits)
        raise InputError.single("unknown_split", f"This release has no split {asked!r}; it has {held}.", field="split")
    return Split(asked)


def _unknown_choices(query: QueryDict, tasks: list[str]) -> Iterable[Problem]:
    choices: dict[str, list[str]] = {
        "sort": [*PLAIN_SORTS, *tasks],
        "kind": [*KINDS],
        "protocol": [*Protocol],
        "order": ["asc", "desc"],
    }
    for name, known in choices.items():
        asked = query.get(name, "")
        if asked and asked not in known:
            message = f"There is no {name} {asked!r}; choose one of {', '.join(known)}."
            yield Problem(code=f"unknown_{name}", message=message, field=name)


def _facets(query: QueryDict, known: dict[str, set[str]]) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    facets: dict[str, tuple[str, ...]] = {}
    problems = []
    for facet in FACETS:
        asked = sorted({value for value in query.getlist(facet) if value})
        for value in asked:
            if value not in known.get(facet, ()):
                message = f"This split has no {facet} {value!r}."
                problems.append(Problem(code="unknown_facet_value", message=message, field=facet))
        if asked:
            facets[facet] = tuple(asked)
    if sum(len(values) for values in facets.values()) > MOST_FACET_VALUES:
        message = f"Choose at most {MOST_FACET_VALUES} facet values at once."
        problems.append(Problem(code="too_many_facet_values", message=message))
    return facets, problems[:20]
