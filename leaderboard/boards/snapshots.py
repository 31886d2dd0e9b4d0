"""Boards computed ahead of time. In: a release, a split, a board and facets; out: a Board, from one stored row.

Default boards are rebuilt by the worker that serves publication (`refresh`). Boards narrowed by facets are computed
when first asked for and kept while their entries stay the same; only so many are kept, and one at a time is computed.
"""

import hashlib
import json
from collections.abc import Mapping

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTransform

from evaluator.release.schema import Split
from leaderboard.boards import compute
from leaderboard.boards.entries import LiveEntry, live_entries
from leaderboard.boards.names import AGGREGATE_TITLES
from leaderboard.boards.rows import SCHEMA, Board
from leaderboard.boards.runs import with_runs
from leaderboard.boards.view import View
from leaderboard.models import BoardSnapshot, Release

MOST_FACET_SNAPSHOTS = 200  # per release and split


class NoSuchBoard(Exception):
    """The release has no board of this name."""


def get_board(
    release: Release, split: Split, board: str, facets: Mapping[str, tuple[str, ...]] | None = None, *,
    tasks: tuple[str, ...] | None = None,
) -> Board:  # fmt: skip
    """The board as it stands, with its scores on `tasks` (None: on all). Raises NoSuchBoard.

    Facets must be known values: leaderboard.boards.view checks them.
    """
    facets = dict(facets or {})
    if board not in board_names(release, split):
        raise NoSuchBoard(f"no board {board}")
    query = View(split=split, facets=facets).facet_query
    stored = _with_scores(_readable(release, split, board, query), tasks).first()
    if stored is not None and (not query or stored.basis == _basis(release, live_entries(release, split))):
        return _read(stored, tasks)  # boards without facets are kept up to date by the worker
    return _build_one(release, split, board, facets, query)


def refresh(release: Release, split: str) -> None:
    """Compute every default board of a split from its live entries."""
    found = Split(split)
    entries = live_entries(release, found)
    basis = _basis(release, entries)
    opened = compute.open_split(release, found, entries)
    for board in board_names(release, found):
        _store(release, found, board, "", basis, _compute(opened, board, {}))


def board_names(release: Release, split: Split) -> list[str]:
    """Every board of a split: the aggregates, then its tasks."""
    return [*AGGREGATE_TITLES, *(task["slug"] for task in release.summary[split]["tasks"])]


def _build_one(release: Release, split: Split, board: str, facets: dict[str, tuple[str, ...]], query: str) -> Board:
    """Compute and keep one board; whoever asks for the same one meanwhile waits and finds it made."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('leaderboard.boards'), %s)", [release.pk % 2**31])
        entries = live_entries(release, split)
        basis = _basis(release, entries)
        if stored := _readable(release, split, board, query).filter(basis=basis).first():
            return _read(stored, None)
        found = _compute(compute.open_split(release, split, entries, with_replicates=not facets), board, facets)
        _store(release, split, board, query, basis, found)
        _forget_oldest(release, split)
    return found


def _compute(opened: compute.OpenSplit, board: str, facets: dict[str, tuple[str, ...]]) -> Board:
    return with_runs(compute.compute(opened, board, facets), opened.entries)


def _readable(release: Release, split: Split, board: str, query: str) -> QuerySet[BoardSnapshot]:
    """The stored board, unless an earlier version of this program wrote it."""
    return BoardSnapshot.objects.filter(
        release=release, split=split, board=board, facets=query, content__schema=SCHEMA
    )  # fmt: skip


def _with_scores(rows: QuerySet[BoardSnapshot], tasks: tuple[str, ...] | None) -> QuerySet[BoardSnapshot]:
    """Fetch no more scores than are wanted: all of them take longer to read than the rest of a page to make."""
    if tasks is None:
        return rows
    return rows.defer("scores").annotate(**{f"task_{i}": KeyTransform(task, "scores") for i, task in enumerate(tasks)})


def _read(stored: BoardSnapshot, tasks: tuple[str, ...] | None) -> Board:
    if tasks is None:
        return Board.from_json(stored.content, stored.scores)
    scores = {task: found for i, task in enumerate(tasks) if (found := getattr(stored, f"task_{i}"))}
    return Board.from_json(stored.content, scores)


def _store(release: Release, split: Split, board: str, query: str, basis: str, found: Board) -> None:
    BoardSnapshot.objects.update_or_create(
        release=release, split=split, board=board, facets=query,
        defaults={"basis": basis, "content": found.as_json(), "scores": found.scores},
    )  # fmt: skip


def _forget_oldest(release: Release, split: Split) -> None:
    kept = BoardSnapshot.objects.filter(release=release, split=split).exclude(facets="").order_by("-built_at")
    BoardSnapshot.objects.filter(pk__in=list(kept.values_list("pk", flat=True)[MOST_FACET_SNAPSHOTS:])).delete()


def _basis(release: Release, entries: list[LiveEntry]) -> str:
    """Digest of all that a board is computed from: the key in force and the reports that stand on it."""
    facts = [release.key_revision_id, *sorted((entry.report_id, entry.model, entry.n_submissions) for entry in entries)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
