"""Labels that come back from a person. In: CSV text and the ids there are; out: a class for each id.

All faults are reported at once. Torch-free and safe on a stranger's file.
"""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from evaluator.errors import InputError, ProblemLog

HEADER = ("id", "label")
MAX_BYTES = 64 * 1024**2
MAX_LABEL_CHARS = 200
MAX_CLASSES = 1_000

Labels = dict[str, str]  # id → class


def read_labels(path: Path, ids: Collection[str]) -> Labels:
    """`parse_labels` of a file. Raises InputError `labels_unreadable` too."""
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror or error})."
        raise InputError.single("labels_unreadable", message, field="labels") from error
    return parse_labels(content, ids)


def parse_labels(content: bytes, ids: Collection[str]) -> Labels:
    """The classes in `id,label` rows, in the order of the rows. Spaces around a label do not count.

    Raises InputError with every fault: `no_header`, `labels_unreadable`, `labels_too_large`, `row_shape`, `unknown_id`,
    `empty_label`, `label_too_long`, `contradicting_labels`, `too_many_classes`.
    """
    known = ids if isinstance(ids, set | frozenset | dict) else set(ids)
    log, found = ProblemLog(), Labels()
    for row, (name, label) in _rows(content, log):
        if name not in known:
            log.add("unknown_id", f"No image is called {name[:200]!r}. Write ids as next.csv has them.", row=row)
        elif not label:
            message = f"{name[:200]!r} has no label. Write one, or delete the row."
            log.add("empty_label", message, row=row)
        elif len(label) > MAX_LABEL_CHARS:
            log.add("label_too_long", f"The label has more than {MAX_LABEL_CHARS} characters. Shorten it.", row=row)
        elif found.setdefault(name, label) != label:
            message = f"{name[:200]!r} is {found[name]!r} in an earlier row and {label!r} here. Keep one of them."
            log.add("contradicting_labels", message, row=row)
    if len(set(found.values())) > MAX_CLASSES:
        message = f"There are {len(set(found.values())):,} different labels, at most {MAX_CLASSES:,} are taken."
        log.add("too_many_classes", message)
    log.raise_if_any()
    return found


def classes_of(labels: Mapping[str, str]) -> list[str]:
    """The classes seen, by name."""
    return sorted(set(labels.values()))


def _rows(content: bytes, log: ProblemLog) -> Sequence[tuple[int, tuple[str, str]]]:
    """(row, (id, label)) of every row that has both, 1-based behind the header; blank rows are passed over."""
    if len(content) > MAX_BYTES:
        message = f"The labels have more than {MAX_BYTES // 1024**2} MiB."
        raise InputError.single("labels_too_large", message, field="labels")
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"The labels are no CSV in UTF-8 ({error}). Save them as `CSV UTF-8`, with commas."
        raise InputError.single("labels_unreadable", message, field="labels") from error
    header = tuple(cell.strip().lower() for cell in rows[0]) if rows else ()
    if header[:2] != HEADER:
        message = f"The first row must be `{','.join(HEADER)}`; other columns may follow, and are not read."
        raise InputError.single("no_header", message, field="labels")
    found = []
    for row, cells in enumerate(rows[1:], 1):
        if not any(cell.strip() for cell in cells):
            continue
        if not len(HEADER) <= len(cells) <= len(header):
            log.add("row_shape", f"The row has {len(cells)} cells, the header {len(header)}.", row=row)
        else:
            found.append((row, (cells[0], cells[1].strip())))
    return found
