"""Generators and detectors are swept by the same path: the ends and the middle answer as their checkpoints do alone."""

from pathlib import Path

import pytest
from safetensors.torch import load_file

from evaluator.answering.run import answer_release
from evaluator.answering.settings import RunSettings
from evaluator.answering.sweeps.sweep import Sweep, sweep_release
from evaluator.answering.sweeps.sweep_answers import answers_at
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Architecture
from evaluator.architectures.folders import read_folder
from evaluator.encoders.choices import Device
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from evaluator.weights.merging import write_merged
from tests.builders.detectors import detector_folders
from tests.builders.generators import LLAVA, QWEN, generative_architecture, generative_folders
from tests.builders.pairs import tuned_state
from tests.builders.weights import write_state

ALPHAS = (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def generators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return generative_folders(tmp_path_factory.mktemp("generators"))


def sweep_and_alone(
    release: Path, split: Split, architecture: Architecture, base: Path, settings: RunSettings, folder: Path
) -> tuple[Sweep, list]:
    """A sweep to a tuned copy, and what base, their half and tuned answer alone."""
    tuned = write_state(tuned_state(load_file(base), size=0.5), folder / "tuned.safetensors")
    half = folder / "half.safetensors"
    with open_checkpoint(base) as one, open_checkpoint(tuned) as other:
        done = sweep_release(release, [split], one, other, architecture, ALPHAS, settings)
        with half.open("wb") as file:
            write_merged(file, [one, other], [0.5, 0.5], architecture)
    alone = []
    for path in (base, half, tuned):
        with open_checkpoint(path) as file:
            alone.append(answer_release(release, split, file, architecture, settings).answers)
    return done, alone


@pytest.mark.parametrize(
    ("name", "protocol"), [(LLAVA, Protocol.QUESTIONS), (LLAVA, Protocol.LETTER), (QWEN, Protocol.QUESTIONS)]
)
def test_generators(
    name: str, protocol: Protocol, generators: dict[str, Path], small_release: Path, tmp_path: Path
) -> None:
    architecture = generative_architecture(generators[name].parent)
    settings = RunSettings(device=Device.CPU, protocol=protocol, max_new_tokens=3)
    done, alone = sweep_and_alone(small_release, Split.DEV, architecture, generators[name], settings, tmp_path)
    for alpha, expected in zip(ALPHAS, alone, strict=True):
        found = answers_at(done.answers, Split.DEV, alpha)
        assert found["chosen"].equals(expected["chosen"])
        if alpha != 0.5:
            assert found.equals(expected)
    assert not alone[0].equals(alone[2])
    assert done.record["merge"]["unchanged_towers"] == []
    assert done.record["logit_scale"] == {"base": None, "tuned": None}


def test_detectors(boxed_release: Path, tmp_path: Path) -> None:
    weights = detector_folders(tmp_path)["tiny-owlv2"]
    architecture = read_folder(tmp_path / "registry/tiny-owlv2")
    settings = RunSettings(device=Device.CPU, protocol=Protocol.BOXES)
    done, alone = sweep_and_alone(boxed_release, Split.DEV, architecture, weights, settings, tmp_path)
    for alpha, expected in zip(ALPHAS, alone, strict=True):
        found = answers_at(done.answers, Split.DEV, alpha)
        assert found["chosen"].equals(expected["chosen"])
        if alpha != 0.5:
            assert found.equals(expected)
        lengths = [len(boxes or ()) for boxes in expected["boxes"].to_pylist()]
        assert [len(boxes or ()) for boxes in found["boxes"].to_pylist()] == lengths and sum(lengths)
