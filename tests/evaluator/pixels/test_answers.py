"""A cache changes nothing but the time: answers and embeddings are equal byte for byte, with it and without."""

from pathlib import Path

import pytest

from evaluator.answering.run import answer_release, write_run
from evaluator.answering.settings import RunSettings
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.pixels import files
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.weights import TINY, tiny_state, write_state


def test_cached_and_uncached_runs_are_equal_to_the_byte(
    small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = write_state(tiny_state(seed=1), tmp_path / "tiny.safetensors")
    cropped: list[int] = []
    crop = files.crop
    monkeypatch.setattr(files, "crop", lambda image, recipe: (cropped.append(1), crop(image, recipe))[1])
    n_cropped = []
    for name, cache in {"none": PixelCache(), "made": PixelCache(folder=tmp_path / "cache"),
                        "found": PixelCache(folder=tmp_path / "cache")}.items():  # fmt: skip
        with open_checkpoint(weights) as file:
            run = answer_release(
                small_release, Split.TEST, file, get_architecture(TINY), RunSettings(device=Device.CPU), cache=cache
            )
        write_run(run, tmp_path / name)
        n_cropped.append(len(cropped))
    assert n_cropped[0] > 0 and n_cropped == [n_cropped[0], 2 * n_cropped[0], 2 * n_cropped[0]]
    for file_name in ("answers.parquet", "embeddings.npz"):
        none, made, found = ((tmp_path / name / file_name).read_bytes() for name in ("none", "made", "found"))
        assert none == made == found
