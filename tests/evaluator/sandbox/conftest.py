"""What the sandbox tests share: a view of the small release and a tiny checkpoint. The evaluator must be installed."""

from pathlib import Path

import pytest

from evaluator.release.schema import Split
from evaluator.release.view import write_view
from tests.builders.weights import tiny_state, write_state


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint; the safetensors library makes it readable by its owner only, as uploads may be."""
    return write_state(tiny_state(seed=2), tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="session")
def view(small_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test split as one job may see it, in a folder that only its owner may enter."""
    folder = tmp_path_factory.mktemp("job") / "view"
    write_view(small_release, [Split.TEST], folder)
    folder.chmod(0o700)
    return folder
