"""Encoders by label efficiency. In: a release, a dataset or none; out: the rows of its board. Reads KEY_ROOT/derived.

Ranked are the published checkpoints; merges stand beside them, as on all boards.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from evaluator.analyses.labels.efficiency_board import Area, Board, mean_area, rank_efficiency
from evaluator.analyses.labels.efficiency_board import Row as Ranked
from evaluator.release.schema import Split
from evaluator.release.tasks import dataset_slug
from evaluator.scoring.index import Group
from evaluator.statistics.bootstrap import percentile_interval
from leaderboard.boards.entries import LiveEntry
from leaderboard.label_efficiency import efficiency
from leaderboard.label_efficiency.pools import EVALUATED, POOL
from leaderboard.label_efficiency.rows import EfficiencyCell, EfficiencyDataset, EfficiencyRow, Interval
from leaderboard.models import LabelEfficiency, Release

MERGE = "It is a merge of other submissions, so it stands unranked beside them."
NOT_YET = "It is not measured yet."
NOT_MEASURED = "Its images are not asked in the same wording in dev and test."
DECIMALS = 6
Rows = Mapping[str, list[LabelEfficiency]]  # by submission


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One encoder on one dataset, with replicates (B,) that were drawn alike for all encoders."""

    same: Area
    gain: Area


def in_force(entries: Iterable[LiveEntry]) -> dict[str, list[LabelEfficiency]]:
    """What stands of the submissions on the boards, by submission."""
    found: dict[str, list[LabelEfficiency]] = {}
    chosen = [UUID(entry.submission) for entry in entries]
    for row in LabelEfficiency.objects.filter(submission__in=chosen, superseded_at=None).order_by("dataset"):
        found.setdefault(str(row.submission_id), []).append(row)
    return found


def datasets_of(release: Release, rows: Rows) -> list[EfficiencyDataset]:
    """The fine datasets of both splits, in the release's order, with what their documents say of them."""
    if POOL not in release.summary or EVALUATED not in release.summary:
        return []
    documents: dict[str, dict] = {}
    for row in (row for each in rows.values() for row in each):
        if row.document["ranked"] or dataset_slug(row.dataset) not in documents:
            documents[dataset_slug(row.dataset)] = row.document
    in_pool = {task["slug"] for task in _fine(release, POOL)}
    return [_dataset(task, documents) for task in _fine(release, EVALUATED) if task["slug"] in in_pool]


def board_rows(
    release: Release, entries: Iterable[LiveEntry], rows: Rows, datasets: list[EfficiencyDataset], dataset: str | None
) -> tuple[list[EfficiencyRow], float | None]:  # fmt: skip
    """Ranked rows first, best first; and the smallest difference that they resolve.

    dataset: a slug, or None for the mean over the ranked ones. A dataset that is not ranked has rows without ranks.
    """
    chosen = [each.slug for each in datasets if each.slug == dataset or (dataset is None and each.ranked)]
    is_ranked = any(each.ranked for each in datasets if each.slug in chosen)
    measured = [entry for entry in entries if rows.get(entry.submission)]
    competing = [entry.submission for entry in measured if entry.competes] if is_ranked else []
    basis = tuple((name, tuple(row.pk for row in rows[name])) for name in competing)
    table = _ranked(release.slug, basis, tuple(chosen))
    ranked = {row.id: row for row in table.rows}
    made = [_row(release, entry, rows[entry.submission], ranked.get(entry.submission), chosen, dataset)
            for entry in measured]  # fmt: skip
    if dataset is not None:
        made = [row for row in made if dataset in row.per_dataset]
    made.sort(key=lambda row: (row.rank is None, row.rank or 0, row.model))
    return made, None if table.resolvable is None else round(table.resolvable, DECIMALS)


@lru_cache(maxsize=64)
def _ranked(slug: str, basis: tuple[tuple[str, tuple[int, ...]], ...], chosen: tuple[str, ...]) -> Board:
    """The ranks of these documents by submission; a new document has another number."""
    areas = {name: _measured(slug, pks) for name, pks in basis}
    same = {name: {dataset: found.same for dataset, found in own.items()} for name, own in areas.items()}
    return rank_efficiency(same, chosen)


@lru_cache(maxsize=1024)
def _means(slug: str, pks: tuple[int, ...], chosen: tuple[str, ...]) -> tuple[Interval | None, Interval | None]:
    """The mean area and the mean gain of one submission over `chosen`; None where it lacks one of them."""
    found = _measured(slug, pks)
    if not chosen or not set(chosen) <= set(found):
        return None, None
    return _mean([found[each].same for each in chosen]), _mean([found[each].gain for each in chosen])


def _mean(areas: Sequence[Area]) -> Interval:
    estimate, drawn = mean_area(areas)
    low, high = percentile_interval(drawn)
    return {"estimate": round(estimate, DECIMALS), "low": round(low, DECIMALS), "high": round(high, DECIMALS)}


def _measured(slug: str, pks: Iterable[int]) -> dict[str, Measured]:
    """Of one submission, by the dataset's slug; without those on which nothing was measured."""
    found = {}
    for row in LabelEfficiency.objects.filter(pk__in=list(pks)):
        drawn = efficiency.areas_of(row, slug)
        if drawn is not None:
            same, gain = drawn
            found[dataset_slug(row.dataset)] = Measured(
                same=(row.document["aulc"]["log2"]["estimate"], same),
                gain=(row.document["gain"]["log2"]["estimate"], gain),
            )  # fmt: skip
    return found


def _row(
    release: Release, entry: LiveEntry, documents: list[LabelEfficiency], ranked: Ranked | None, chosen: list[str],
    dataset: str | None,
) -> EfficiencyRow:  # fmt: skip
    cells = {dataset_slug(row.dataset): _cell(release, row) for row in documents}
    own = cells.get(dataset) if dataset is not None else None
    means = _means(release.slug, tuple(row.pk for row in documents), tuple(chosen)) if dataset is None else (None, None)
    return EfficiencyRow(
        model=entry.model, name=entry.name, submission=entry.submission, kind=entry.kind,
        rank=ranked.rank if ranked else None, rank_low=ranked.rank_low if ranked else None,
        rank_high=ranked.rank_high if ranked else None, group=ranked.group if ranked else None,
        aulc=own.aulc if own else means[0], gain=own.gain if own else means[1],
        labels_to=own.labels_to if own else None, zero_shot=own.zero_shot if own else None,
        ceiling=own.ceiling if own else None, per_dataset=cells, stale=any(cell.stale for cell in cells.values()),
        unranked_reason=_reason(entry, documents, ranked, dataset),
    )  # fmt: skip


def _reason(
    entry: LiveEntry, documents: list[LabelEfficiency], ranked: Ranked | None, dataset: str | None
) -> str:  # fmt: skip
    """Why the row stands without a rank; empty when it has one."""
    if not entry.competes:
        return MERGE
    if ranked is not None and ranked.rank is not None:
        return ""
    of_dataset = [row.document["reason"] for row in documents if dataset_slug(row.dataset) == dataset]
    return next(filter(None, of_dataset), ranked.unranked_reason if ranked else "No dataset is ranked.")


def _cell(release: Release, row: LabelEfficiency) -> EfficiencyCell:
    document, budgets = row.document, row.document["budgets"]
    zero_shot = document["zero_shot"]
    return EfficiencyCell(
        aulc=document["aulc"]["log2"], gain=document["gain"]["log2"], labels_to=document["labels_to"],
        zero_shot=zero_shot and zero_shot["balanced_accuracy"],
        ceiling=document["ceiling"]["balanced_accuracy"] if budgets else None, n_classes=document["n_classes"],
        most_labels=budgets[-1]["labels"] if budgets else None,
        stale=row.version != efficiency.VERSION or row.key_revision_id != release.key_revision_id,
    )  # fmt: skip


def _dataset(task: Mapping[str, str], documents: Mapping[str, dict]) -> EfficiencyDataset:
    document = documents.get(task["slug"])
    if document is None:
        reason = NOT_MEASURED if documents else NOT_YET
        return EfficiencyDataset(slug=task["slug"], title=task["title"], ranked=False, reason=reason)
    sizes = {name: document[name] for name in ("n_classes", "pool_items", "items", "ranked")}
    return EfficiencyDataset(slug=task["slug"], title=task["title"], reason=document["reason"] or "", **sizes)


def _fine(release: Release, split: Split) -> list[dict[str, str]]:
    return [task for task in release.summary[split]["tasks"] if task["group"] == Group.FINE]
