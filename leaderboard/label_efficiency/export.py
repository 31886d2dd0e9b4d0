"""Label efficiency as a file. In: a board, or strategies compared; out: CSV with fractions, as in the API."""

import csv
import io

from leaderboard.boards.export import safe
from leaderboard.label_efficiency.rows import Comparison, EfficiencyBoard, EfficiencyCell, EfficiencyRow, Interval

LEAD = ("rank", "rank_low", "rank_high", "group", "model", "name", "submission", "kind", "stale", "unranked_reason")
INTERVAL = ("estimate", "low", "high")
TARGETS = ("zero_shot", "eighty_percent", "ninety_of_ceiling")


def to_csv(board: EfficiencyBoard) -> str:
    """One line per model: area under the curve and gain, then the same of each dataset with labels needed. A target
    that is not reached has its state and no number."""
    datasets = [each.slug for each in board.datasets if board.dataset in (None, each.slug)]
    file = io.StringIO()
    writer = csv.writer(file)
    head = [f"{name}_{part}" for name in ("aulc", "gain") for part in INTERVAL]
    own = [f"{slug}_{name}" for slug in datasets for name in _cell_head()]
    writer.writerow([*LEAD, *head, *own])
    for row in board.rows:
        writer.writerow(_line(row, datasets))
    return file.getvalue()


def comparison_to_csv(found: Comparison) -> str:
    """One line per strategy, best mean rank first; dataset and encoder are empty where it is pooled over them."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(STRATEGY_HEAD)
    for row in sorted(found.document["strategies"], key=lambda each: each["mean_rank"]):
        aulc, gain = row["aulc"], row["over_random"] or dict.fromkeys((*INTERVAL, "p"))
        saving, seen = row["label_saving"] or {}, row["all_classes_by"] or {}
        writer.writerow([
            row["strategy"], found.start, found.dataset, found.encoder, row["mean_rank"], row["group"],
            aulc["mean"], aulc["low"], aulc["high"], *(gain[part] for part in INTERVAL), gain["p"],
            saving.get("ratio"), seen.get("labels"),
        ])  # fmt: skip
    return file.getvalue()


STRATEGY_HEAD = (
    "strategy", "start", "dataset", "encoder", "mean_rank", "group", "aulc_mean", "aulc_low", "aulc_high",
    "over_random_estimate", "over_random_low", "over_random_high", "p", "label_saving", "all_classes_by",
)  # fmt: skip


def _line(row: EfficiencyRow, datasets: list[str]) -> list[object]:
    cells = [value for slug in datasets for value in _cell(row.per_dataset.get(slug))]
    return [*(safe(getattr(row, name)) for name in LEAD), *_interval(row.aulc), *_interval(row.gain), *cells]


def _cell_head() -> list[str]:
    intervals = [f"{name}_{part}" for name in ("aulc", "gain", "zero_shot", "ceiling") for part in INTERVAL]
    return intervals + [f"labels_to_{target}{part}" for target in TARGETS for part in ("", "_low", "_high", "_state")]


def _cell(cell: EfficiencyCell | None) -> list[object]:
    if cell is None:
        return [None] * len(_cell_head())
    found: list[object] = [
        part for interval in (cell.aulc, cell.gain, cell.zero_shot, cell.ceiling) for part in _interval(interval)
    ]
    for target in TARGETS:
        needed = cell.labels_to[target]
        found += [needed["labels"], needed["low"], needed["high"], needed["state"]]
    return found


def _interval(interval: Interval | None) -> list[float | None]:
    return [None] * len(INTERVAL) if interval is None else [interval[part] for part in INTERVAL]
