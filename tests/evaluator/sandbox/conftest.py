"""What the sandbox tests share: a tiny checkpoint. The evaluator must be installed."""

from pathlib import Path

import pytest

from evaluator.encoders.choices import Device
from evaluator.release.schema import Split
from evaluator.sandbox import AnswerJob, SandboxLevel, process
from tests.builders.weights import TINY, tiny_state, write_state


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint; the safetensors library makes it readable by its owner only, as uploads may be."""
    return write_state(tiny_state(seed=2), tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def job(small_release: Path, tiny_weights: Path) -> AnswerJob:
    return AnswerJob(
        release=small_release, split=Split.TEST, weights=tiny_weights, architecture=TINY, device=Device.CPU
    )


@pytest.fixture(params=[SandboxLevel.BUBBLEWRAP, SandboxLevel.WEAK])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SandboxLevel:
    monkeypatch.setattr(process, "sandbox_level", lambda: request.param)
    return request.param
