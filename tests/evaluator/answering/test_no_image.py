"""The no-image baseline: every item looks the same, so only what is known of the questions can be right."""

import json
from pathlib import Path

import numpy as np
import pytest

from evaluator.answering.run import Run, answer_release
from evaluator.answering.settings import RunSettings
from evaluator.answers import read_answers
from evaluator.architectures.registry import get_architecture
from evaluator.cli import main
from evaluator.encoders.choices import Device
from evaluator.pixels.blank import GREY, blank_image
from evaluator.pixels.cache import PixelCache, Wanted, open_pixels
from evaluator.pixels.crop import crop
from evaluator.pixels.files import PackedImages, open_crops
from evaluator.pixels.recipe import CropRecipe, Fit
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.weights import TINY


def run(release: Path, weights: Path, *, blank: bool) -> Run:
    with open_checkpoint(weights) as file:
        settings = RunSettings(device=Device.CPU)
        return answer_release(release, Split.TEST, file, get_architecture(TINY), settings, blank_images=blank)


def test_answers_depend_on_the_question_alone(small_release: Path, tiny_weights: Path) -> None:
    blank, seeing = (run(small_release, tiny_weights, blank=blank) for blank in (True, False))
    assert np.ptp(blank.embeddings["embedding"], axis=0).max() < 1e-6
    assert np.ptp(seeing.embeddings["embedding"], axis=0).max() > 1e-3
    questions = read_questions(small_release, Split.TEST).to_pylist()
    options = {(q["image_id"], q["question"], q["variant"]): tuple(q["options"]) for q in questions}
    scores: dict[tuple[str, ...], list[float]] = {}
    for answer in blank.answers.to_pylist():
        asked = options[answer["image_id"], answer["question"], answer["variant"]]
        np.testing.assert_allclose(scores.setdefault(asked, answer["scores"]), answer["scores"], atol=1e-6)
    assert len(scores) < blank.answers.num_rows
    assert blank.answers.select(["dataset", "image_id", "question"]).equals(
        seeing.answers.select(["dataset", "image_id", "question"])
    )
    assert (blank.record["images"], seeing.record["images"]) == ("blank", "stored")


def test_the_command_says_that_no_image_was_shown(
    small_release: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["answer", "--release", str(small_release), "--split", "test", "--weights", str(tiny_weights),
               "--architecture", TINY, "--device", "cpu", "--pixel-cache", str(tmp_path / "cache")]  # fmt: skip
    assert main([*command, "--out", str(tmp_path / "seeing")]) == 0
    assert "no image" not in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "blank"), "--no-image"]) == 0
    assert "no image was shown" in capsys.readouterr().out
    assert json.loads((tmp_path / "blank/run.json").read_text())["images"] == "blank"
    seeing, blank = (read_answers(tmp_path / name / "answers.parquet") for name in ("seeing", "blank"))
    assert not seeing["scores"].equals(blank["scores"])  # nor did the second find the first one's crops in the cache


@pytest.mark.parametrize("fit", list(Fit))
def test_the_grey_crop_is_grey_everywhere_and_stands_for_every_item(
    small_release: Path, tmp_path: Path, fit: Fit
) -> None:
    recipe = CropRecipe(crop_px=30, resize_px=34 if fit is Fit.SHORTEST else 30, fit=fit, interpolation="bicubic")
    assert (crop(blank_image(), recipe) == GREY).all()
    files = read_items(small_release, Split.TEST)["file"].to_pylist()
    wanted = Wanted(release=small_release, release_hash="0", split=Split.TEST, files=files, form=recipe, blank=True)
    cache, heard = PixelCache(folder=tmp_path), []
    for _ in range(2):
        with open_pixels(wanted, cache, heard.append) as file:
            crops = open_crops(file, len(files), recipe)
            assert crops.shape == (len(files), 30, 30, 3) and (crops == GREY).all()
    assert heard[-1] == len(files)
    [kept] = tmp_path.glob("*.pixels")
    assert kept.stat().st_size == 30 * 30 * 3


def test_whole_grey_images_are_packed_as_others_are(small_release: Path) -> None:
    files = read_items(small_release, Split.TEST)["file"].to_pylist()
    wanted = Wanted(release=small_release, release_hash="0", split=Split.TEST, files=files, form=None, blank=True)
    with open_pixels(wanted, PixelCache()) as file:
        images = PackedImages(file, files)
        assert len(images) == len(files)
        for image in (images[0], images[len(files) - 1]):
            assert (np.asarray(image) == GREY).all() and image.size == blank_image().size


def test_a_file_of_another_size_is_no_crops(small_release: Path, tmp_path: Path) -> None:
    recipe = CropRecipe(crop_px=4, resize_px=4, fit=Fit.SHORTEST, interpolation="bicubic")
    (tmp_path / "two").write_bytes(b"\0" * 2 * 48)
    with (tmp_path / "two").open("rb") as file, pytest.raises(ValueError, match="no crops of shape"):
        open_crops(file, 3, recipe)
