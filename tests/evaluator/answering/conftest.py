"""A tiny checkpoint for the tests of answering."""

from pathlib import Path

import pytest

from tests.builders.weights import tiny_state, write_state


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint of the tiny architecture in half precision, as models are submitted."""
    state = {name: tensor.half() for name, tensor in tiny_state(seed=1).items()}
    return write_state(state, tmp_path_factory.mktemp("weights") / "tiny.safetensors")
