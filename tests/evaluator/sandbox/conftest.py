"""What the sandbox tests share: a tiny checkpoint. The evaluator must be installed."""

from pathlib import Path

import pytest

from tests.builders.weights import tiny_state, write_state


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint; the safetensors library makes it readable by its owner only, as uploads may be."""
    return write_state(tiny_state(seed=2), tmp_path_factory.mktemp("weights") / "tiny.safetensors")
