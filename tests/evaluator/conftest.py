"""What evaluator tests share: one small release, imported once per session."""

from pathlib import Path

import pytest

from evaluator.release.importer import import_hub
from evaluator.release.schema import Split
from tests.builders.hub import cognition_question, hub_box, hub_rows, write_hub


@pytest.fixture(scope="session")
def small_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 images of two datasets, dealt over dev, test and sealed. Not to be written to."""
    folder = tmp_path_factory.mktemp("small")
    write_hub(folder / "hub", hub_rows(60))
    import_hub(
        folder / "hub", folder / "release", name="Small", version="1.0",
        splits={Split.DEV: 0.3, Split.TEST: 0.4, Split.SEALED: 0.3}, id_secret=b"s" * 32,
    )  # fmt: skip
    return folder / "release"


@pytest.fixture(scope="session")
def boxed_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 images of three datasets: `cells_a` has boxes of two classes on half its images, `cells_b` of none in
    particular, and every fourth image has one or two cognition questions. Not to be written to."""
    folder = tmp_path_factory.mktemp("boxed")
    rows = hub_rows(48, ("cells_a", "cells_b", "cells_c"))
    for place, row in enumerate(rows):
        if row["dataset"] == "cells_a" and place % 2:
            cells = [hub_box("cell", 2, 2, 9, 11), hub_box("cell", 0, 0, 4, 4)]
            row["bbox"] = [hub_box("nucleus", 0.5 + place % 3), *cells]
        if row["dataset"] == "cells_b":
            row["bbox"] = [hub_box(None, 1, 1, 3 + place % 5, 8)]
        if place % 4 == 0:
            row["questions"]["cognition_0"] = cognition_question(place % 3)
        if place % 8 == 0:
            row["questions"]["cognition_1"] = cognition_question(place % 2, ("yes", "no"))
    write_hub(folder / "hub", rows)
    import_hub(
        folder / "hub", folder / "release", name="Boxed", version="1.0", splits={Split.DEV: 0.4, Split.TEST: 0.6},
        id_secret=b"s" * 32,
    )  # fmt: skip
    return folder / "release"
