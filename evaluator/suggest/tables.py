"""The list of images as CSV, and the file that a person fills in. In: Suggestion, labels; out: CSV text. Torch-free."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from evaluator.active_learning.suggesting.suggestion import Suggestion
from evaluator.errors import InputError
from evaluator.suggest.labels import HEADER
from evaluator.suggest.words import reason

COLUMNS = ("order", "id", "guess", "disagreement", "lead", "group", "group_images", "typicality", "reason")


def next_csv(suggestion: Suggestion) -> str:
    """One row per image to label, in order; what a classifier says is empty while there is none."""
    return _csv(COLUMNS, (
        (order, pick.id, pick.guess, pick.disagreement, pick.lead, pick.group, pick.members, pick.typicality,
         reason(pick)) for order, pick in enumerate(suggestion.picks, 1)
    ))  # fmt: skip


def labels_csv(suggestion: Suggestion, labels: Mapping[str, str]) -> str:
    """`id,label`: the labels so far, then the images to label with nothing behind the comma."""
    return _csv(HEADER, [*labels.items(), *((pick.id, "") for pick in suggestion.picks)])


def check_labels_are_kept(path: Path, labels: Mapping[str, str]) -> None:
    """Raise InputError `labels_would_be_lost` where labels.csv, about to be written anew, holds what was not given."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))[1:]
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError, csv.Error):
        rows = [["", "?", ""]]
    lost = [row for row in rows if len(row) > 1 and row[1].strip() and labels.get(row[0]) != row[1].strip()]
    more = [row for row in rows if any(cell.strip() for cell in row[2:])]
    if lost or more:
        what = f"{len(lost)} labels that were not given" if lost else "columns beside id and label"
        message = f"{path} holds {what} and would be written anew. Give it as --labels, or name another --out."
        raise InputError.single("labels_would_be_lost", message, field="labels")


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
