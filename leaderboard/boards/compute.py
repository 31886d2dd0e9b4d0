"""Computing a board. In: live entries and the key material beside the keys; out: a Board with rendered rows.

The mathematics is evaluator.scoring.boards; here files are opened and standings become rows.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from evaluator.release.info import info_from_json
from evaluator.release.key import read_key
from evaluator.release.paper import PaperRow, paper_rows
from evaluator.release.read import read_info, read_questions
from evaluator.release.schema import ReleaseInfo, Split
from evaluator.release.tasks import task_title
from evaluator.scoring import SCORER_VERSION
from evaluator.scoring.aggregates import Aggregate
from evaluator.scoring.boards import BoardEntry, BoardResult, Standing, compute_board
from evaluator.scoring.index import Group, KeyIndex, build_index
from evaluator.statistics.wilson import FEW_SOURCES, Estimate
from leaderboard import storage
from leaderboard.baselines import Baseline
from leaderboard.boards.entries import LiveEntry, headline_variant
from leaderboard.boards.names import board_title, metric_words
from leaderboard.boards.render import with_html
from leaderboard.boards.rows import DERIVED, PAPER, Board, Cell, Column, Row, Scores
from leaderboard.models import Release
from leaderboard.models.catalogue import RESERVED_PREFIX
from leaderboard.models.submissions import SubmissionKind

DECIMALS = 6
MOST_NAMED = 8  # tasks that a reason names
REFERENCES = (SubmissionKind.BASELINE, PAPER)
WITHHELD = (
    "The images chosen come from fewer than 10 sources of a hidden split, so their number is shown and their scores "
    "are not."
)

FEW = "Too few: fewer than 10 sources stand behind these scores, so their intervals cannot be trusted."


@dataclass(frozen=True, kw_only=True)
class OpenSplit:
    """A split with its key index, and its live entries with their marks in the same order."""

    release: Release
    split: Split
    info: ReleaseInfo
    index: KeyIndex
    entries: list[LiveEntry]
    marks: list[BoardEntry]


def open_split(release: Release, split: Split, entries: list[LiveEntry], *, with_replicates: bool = True) -> OpenSplit:
    """Open what the boards of a split are computed from. Reads KEY_ROOT.

    Boards narrowed by facets draw replicates of their own, so they need none of the stored ones.
    """
    info = info_from_json(release.info)
    index = key_index(release, split)
    marks = [_marks(release, index, entry, with_replicates) for entry in entries]
    return OpenSplit(release=release, split=split, info=info, index=index, entries=entries, marks=marks)


def compute(opened: OpenSplit, board: str, facets: dict[str, tuple[str, ...]]) -> Board:
    """The board, ranked rows first, then what stands unranked. Raises KeyError for an unknown board or facet."""
    hidden = not opened.split.key_is_public
    result = compute_board(opened.index, board, opened.marks, facets, hidden=hidden)
    columns = [_column(opened, slug, facets) for slug in result.tasks]
    many = len(columns) > 1
    standings = [
        _exact(standing) if entry.model == _slug(Baseline.CHANCE) else standing
        for entry, standing in zip(opened.entries, result.standings, strict=True)
    ]
    pairs = list(zip(opened.entries, standings, strict=True))
    published = [] if facets else paper_rows(board, opened.info.datasets)
    rows = _ranked(
        [_row(opened, entry, standing) for entry, standing in pairs] + [_published(row) for row in published]
    )
    scores: Scores = {
        slug: {entry.model: _cell(standing.cells[place]) for entry, standing in pairs}
        | {_paper_model(row): _published_cell(row, slug) for row in published}
        for place, slug in enumerate(result.tasks)
    }
    return Board(
        title=board_title(board, opened.info), metric=_metric(opened.index, board, result),
        n_tasks=_n_scored(result, columns),
        n_questions=result.n_questions, n_sources=result.n_sources,
        resolvable_difference=_rounded(result.resolvable_difference), chance=_reference(rows, Baseline.CHANCE),
        majority=_reference(rows, Baseline.MAJORITY), columns=columns if many else [],
        scores=scores if many else {}, notes=_notes(result),
        rows=[
            with_html(
                row, [scores[column.slug][row.model][0] for column in columns if many],
                f"{opened.release.slug}/{opened.split}",
            )
            for row in rows
        ],
    )  # fmt: skip


def key_index(release: Release, split: Split) -> KeyIndex:
    """The key in force of a split as arrays. Reads KEY_ROOT."""
    return _index(release.slug, release.hash, split, release.key_in_force.number)


@lru_cache(maxsize=4)
def _index(slug: str, release_hash: str, split: Split, revision: int) -> KeyIndex:
    """Shared by all boards of a split; another key revision or release content has another index."""
    release = Release(slug=slug)
    folder = storage.release_folder(release)
    key = read_key(storage.key_folder(release, revision), split)
    return build_index(read_info(folder), split, read_questions(folder, split), key)


def _marks(release: Release, index: KeyIndex, entry: LiveEntry, with_replicates: bool) -> BoardEntry:
    """The entry's correctness bits and the replicates of its headline wording.

    Replicates that an earlier scorer wrote for other tasks are left aside: the board draws its own.
    """
    folder = storage.derived_path(release, entry.report_id)
    with np.load(folder / storage.REPLICATES) as stored:
        variant = headline_variant(entry.protocol, set(stored.files))
        replicates = stored[str(variant)] if with_replicates and str(variant) in stored.files else None
    if replicates is not None and replicates.shape[1] != len(Aggregate) + len(index.tasks):
        replicates = None
    return BoardEntry(
        correct=np.load(folder / storage.CORRECT, mmap_mode="r"), variant=variant, replicates=replicates,
        ranked=entry.competes,
    )  # fmt: skip


def _column(opened: OpenSplit, slug: str, facets: dict[str, tuple[str, ...]]) -> Column:
    index = opened.index
    code = next(i for i, task in enumerate(index.tasks) if task.slug == slug)
    rows = index.rows_in(facets) & (index.task == code)
    n_sources = len(np.unique(index.source[rows]))
    return Column(
        slug=slug, title=task_title(slug, opened.info.datasets), group=str(index.tasks[code].group),
        n_questions=len(np.unique(index.item[rows])), n_sources=n_sources, few=n_sources < FEW_SOURCES,
    )  # fmt: skip


def _row(opened: OpenSplit, entry: LiveEntry, standing: Standing) -> Row:
    stale = entry.key_revision_id != opened.release.key_revision_id or entry.report_scorer != SCORER_VERSION
    score, low, high = _interval(standing.score)
    return Row(
        model=entry.model, name=entry.name, submission=entry.submission, submissions=entry.n_submissions,
        kind=entry.kind, verified=entry.verified, protocol=entry.protocol, stale=stale,
        weak_sandbox=entry.weak_sandbox, rank=None, rank_low=standing.rank_low, rank_high=standing.rank_high,
        group=standing.group, score=score, low=low, high=high, n_questions=standing.score.n_questions,
        reason=_reason(opened.info, entry, standing),
        beside=_cell(standing.beside)[:3] if standing.beside else None,
    )  # fmt: skip


def _published(row: PaperRow) -> Row:
    """A row of the paper: unranked, without a model or a submission of ours."""
    return Row(
        model=_paper_model(row), name=row.name, submission=None, submissions=0, kind=PAPER, verified=False,
        protocol=row.protocol or "", stale=False, weak_sandbox=False, rank=None, rank_low=None, rank_high=None,
        group=None, score=row.score, low=row.low, high=row.high, n_questions=None,
    )  # fmt: skip


def _paper_model(row: PaperRow) -> str:
    return f"{PAPER}:{row.name}"  # a colon is in no slug


def _published_cell(row: PaperRow, task: str) -> Cell:
    return [row.tasks[task], None, None, None] if task in row.tasks else [None, None, None, 0]


def _notes(result: BoardResult) -> list[str]:
    if result.withheld:
        return [WITHHELD]
    return [FEW] if result.n_sources < FEW_SOURCES else []


def _ranked(rows: list[Row]) -> list[Row]:
    """Rows with their ordinal rank (equal scores share one), best first; unranked ones after, references last."""
    scores = [row.score for row in rows if row.rank_low is not None and row.score is not None]
    placed = [
        row if row.rank_low is None else replace(row, rank=1 + sum(score > (row.score or 0.0) for score in scores))
        for row in rows
    ]
    return sorted(placed, key=lambda row: (row.rank is None, row.kind in REFERENCES, -(row.score or 0.0)))


def _reason(info: ReleaseInfo, entry: LiveEntry, standing: Standing) -> str:
    if entry.kind == DERIVED:
        return "it is a merge of other submissions, so it stands unranked beside them"
    if not standing.missing:
        return ""
    titles = [task_title(slug, info.datasets) for slug in standing.missing]
    if len(titles) > MOST_NAMED:
        titles = [*titles[: MOST_NAMED - 1], f"{len(titles) - MOST_NAMED + 1} more tasks"]
    return f"it has no answers for {', '.join(titles)}, so it is listed without a rank"


def _metric(index: KeyIndex, board: str, result: BoardResult) -> str:
    """What the score is, in words; one task alone has its own metric."""
    group = next((task.group for task in index.tasks if task.slug == board), Group.FINE)
    return metric_words(result.metric, group)


def _n_scored(result: BoardResult, columns: list[Column]) -> int:
    """How many tasks the score is a mean of: beside fine macro, coarse columns stand but do not count."""
    if result.metric is None:
        return 1
    group = result.metric.removeprefix("pooled_")
    return sum(group not in ("coarse", "fine") or column.group == group for column in columns)


def _exact(standing: Standing) -> Standing:
    """Without intervals: chance is an expectation, which no further image would change."""
    score, *cells = (replace(cell, low=None, high=None) for cell in (standing.score, *standing.cells))
    return replace(standing, score=score, cells=tuple(cells))


def _reference(rows: list[Row], baseline: Baseline) -> float | None:
    return next((row.score for row in rows if row.model == _slug(baseline)), None)


def _slug(baseline: Baseline) -> str:
    return f"{RESERVED_PREFIX}{baseline}"


def _cell(estimate: Estimate) -> Cell:
    return [*_interval(estimate), estimate.n_questions]


def _interval(estimate: Estimate) -> tuple[float | None, float | None, float | None]:
    return _rounded(estimate.estimate), _rounded(estimate.low), _rounded(estimate.high)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), DECIMALS)
