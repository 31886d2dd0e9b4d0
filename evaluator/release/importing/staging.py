"""Where rows wait between the passes of an import. In: rows in input order; out: rows in release order.

A table on disk, so that neither questions nor keys of a large benchmark have to fit in memory.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.release.importing.images import StoredImage
from evaluator.release.importing.rows import HubRow
from evaluator.release.schema import LOCALISATION, Split

CACHE_KIB = 4_096
TABLES = """
CREATE TABLE items (
    row INTEGER PRIMARY KEY, dataset TEXT, image_id TEXT, source TEXT, label TEXT, license TEXT, given TEXT,
    split TEXT, public_id TEXT, file TEXT, UNIQUE (dataset, image_id));
CREATE TABLE contents (row INTEGER PRIMARY KEY, facts TEXT, boxes TEXT, questions TEXT);
CREATE TABLE images (row INTEGER PRIMARY KEY, width INTEGER, height INTEGER, digest TEXT, path TEXT);
"""


@dataclass(frozen=True, kw_only=True)
class StagedItem:
    """Everything a release says of one item, in public and in its key."""

    dataset: str
    image_id: str
    original_id: str
    source: str
    label_name: str | None
    file: str
    image: StoredImage
    path: str | None
    facts: dict[str, Any]
    boxes: list[dict[str, Any]]
    questions: list[list[Any]]  # kind, variant, text, options, answer_idx (None where boxes are asked for)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where one input row goes."""

    row: int
    dataset: str
    image_id: str
    file: str


@dataclass(frozen=True, kw_only=True)
class BoxedImage:
    """A row that has boxes, with the size of its image."""

    row: int
    dataset: str
    image_id: str
    width: int
    height: int
    boxes: list[dict[str, Any]]


class Staging:
    """The waiting rows of one import; `close()` when done. The file is the caller's to delete."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript(
            f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KIB}; {TABLES} BEGIN;"
        )
        self._box_classes: dict[str, list[str]] = {}

    def close(self) -> None:
        self._db.close()

    def add(self, row: HubRow, source: str) -> int | None:
        """Keep a row. Returns None, or the number of the earlier row with the same dataset and image_id."""
        try:
            self._db.execute(
                "INSERT INTO items (row, dataset, image_id, source, label, license, given)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row.row, row.dataset, row.image_id, source, row.label_name, row.facts["license"], row.given_split),
            )
        except sqlite3.IntegrityError:
            where = (row.dataset, row.image_id)
            return self._db.execute("SELECT row FROM items WHERE dataset = ? AND image_id = ?", where).fetchone()[0]
        contents = (row.row, json.dumps(row.facts), json.dumps(row.boxes), json.dumps(row.questions))
        self._db.execute("INSERT INTO contents VALUES (?, ?, ?, ?)", contents)
        return None

    def count(self) -> int:
        """Number of kept rows."""
        return self._db.execute("SELECT count(*) FROM items").fetchone()[0]

    def column(self, name: str) -> list[Any]:
        """One column of the items table, in input order."""
        return [value for (value,) in self._db.execute(f"SELECT {name} FROM items ORDER BY row")]  # nosec B608 - our own names

    def place(self, row: int, split: Split, public_id: str, file: str) -> None:
        """Say where a row goes: split, public id and image file."""
        self._db.execute(
            "UPDATE items SET split = ?, public_id = ?, file = ? WHERE row = ?", (split.value, public_id, file, row)
        )

    def placed(self, first: int, last: int) -> list[Placed]:
        """Where the kept rows with numbers `first` to `last` go."""
        found = self._db.execute(
            "SELECT row, dataset, image_id, file FROM items WHERE row BETWEEN ? AND ?", (first, last)
        )
        return [
            Placed(row=row, dataset=dataset, image_id=image_id, file=file) for row, dataset, image_id, file in found
        ]

    def add_image(self, row: int, image: StoredImage, path: str | None) -> None:
        """Keep what was learnt when the image of a row was written."""
        self._db.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?)", (row, image.width, image.height, image.digest, path)
        )

    def box_classes(self) -> dict[str, set[str | None]]:
        """The classes of the boxes of each dataset that has any; None stands for boxes without a class."""
        found: dict[str, set[str | None]] = {}
        rows = self._db.execute("SELECT dataset, boxes FROM items JOIN contents USING (row) WHERE boxes != '[]'")
        for dataset, boxes in rows:
            found.setdefault(dataset, set()).update(box["class"] for box in json.loads(boxes))
        return found

    def ask_for_boxes(self, classes: dict[str, list[str]]) -> None:
        """From now on every item of these datasets has a localisation question with these classes, the last one."""
        self._box_classes = classes

    def with_boxes(self) -> Iterator[BoxedImage]:
        """The rows that have boxes, in input order, once their images were written."""
        for (row,) in self._db.execute("SELECT row FROM contents WHERE boxes != '[]' ORDER BY row").fetchall():
            dataset, image_id, width, height, boxes = self._db.execute(
                "SELECT dataset, image_id, width, height, boxes FROM items JOIN images USING (row)"
                " JOIN contents USING (row) WHERE row = ?",
                (row,),
            ).fetchone()
            yield BoxedImage(
                row=row, dataset=dataset, image_id=image_id, width=width, height=height, boxes=json.loads(boxes)
            )

    def replace_boxes(self, row: int, boxes: list[dict[str, Any]]) -> None:
        """Keep other boxes of a row."""
        self._db.execute("UPDATE contents SET boxes = ? WHERE row = ?", (json.dumps(boxes), row))

    def straddling(self) -> list[tuple[str, str]]:
        """Sources that the input's own split column puts in more than one split, with those splits."""
        return self._db.execute(
            "SELECT source, group_concat(DISTINCT given) FROM items GROUP BY source HAVING count(DISTINCT given) > 1"
        ).fetchall()

    def licenses(self) -> dict[str, tuple[str, ...]]:
        """Licences stated per dataset."""
        found: dict[str, tuple[str, ...]] = {}
        for dataset, stated in self._db.execute(
            "SELECT DISTINCT dataset, license FROM items ORDER BY dataset, license"
        ):
            found[dataset] = found.get(dataset, ()) + ((stated,) if stated else ())
        return found

    def count_sources(self, split: Split) -> int:
        """Number of sources in a split."""
        return self._db.execute("SELECT count(DISTINCT source) FROM items WHERE split = ?", (split.value,)).fetchone()[
            0
        ]

    def attributions(self) -> list[tuple[str, str | None, str | None]]:
        """Institutions and PMIDs per dataset, of public items only: in hidden splits they belong to the key."""
        return self._db.execute(
            "SELECT DISTINCT dataset, json_extract(facts, '$.institution'), json_extract(facts, '$.pmid')"
            " FROM items JOIN contents USING (row) WHERE split = ? ORDER BY 1, 2, 3",
            (Split.DEV.value,),
        ).fetchall()

    def in_release_order(self, split: Split) -> Iterator[StagedItem]:
        """The items of a split: dev in input order, hidden splits in the order of their opaque ids."""
        order = "row" if split.key_is_public else "public_id"
        rows = self._db.execute(f"SELECT row FROM items WHERE split = ? ORDER BY {order}", (split.value,))  # nosec B608 - our own names
        for (row,) in rows.fetchall():
            yield self._item(row)

    def _item(self, row: int) -> StagedItem:
        (dataset, image_id, source, label, public_id, file, width, height, digest, path, facts, boxes, questions) = (
            self._db.execute(
                "SELECT dataset, image_id, source, label, public_id, file, width, height, digest, path, facts, boxes,"
                " questions FROM items JOIN images USING (row) JOIN contents USING (row) WHERE row = ?",
                (row,),
            ).fetchone()
        )
        classes = self._box_classes.get(dataset)
        located = [[LOCALISATION, None, None, classes, None]] if classes else []
        return StagedItem(
            dataset=dataset, image_id=public_id, original_id=image_id, source=source, label_name=label, file=file,
            image=StoredImage(width=width, height=height, digest=digest), path=path, facts=json.loads(facts),
            boxes=json.loads(boxes), questions=json.loads(questions) + located,
        )  # fmt: skip
