"""What evaluator tests share: one small release, imported once per session."""

from pathlib import Path

import pytest

from evaluator.release.importer import import_hub
from evaluator.release.schema import Split
from tests.builders.hub import hub_rows, write_hub


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
