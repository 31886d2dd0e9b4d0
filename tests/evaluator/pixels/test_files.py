"""The two forms of a pixel file, and what is refused of them."""

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

from evaluator.errors import EvaluationFailed
from evaluator.pixels import files
from evaluator.pixels.files import (
    AT_ONCE,
    OFFSET,
    PackedImages,
    let_go,
    open_crops,
    pack_images,
    packed_bytes,
    write_crops,
)
from evaluator.pixels.read import decode
from evaluator.pixels.recipe import CropRecipe, Fit

RECIPE = CropRecipe(crop_px=4, resize_px=4, fit=Fit.SQUASH, interpolation="bicubic")
RNG = np.random.default_rng(0)


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    names = [f"{n}.png" for n in range(3)]
    for n, name in enumerate(names):
        Image.fromarray(RNG.integers(0, 256, (5 + n, 7, 3), dtype=np.uint8)).save(tmp_path / name)
    return names


def packed(folder: Path, names: list[str]) -> BinaryIO:
    with (folder / "packed").open("wb") as out:
        pack_images(folder, names, out, lambda done: None)
    return (folder / "packed").open("rb")


def test_packed_images_come_back_by_place(tmp_path: Path, images: list[str]) -> None:
    heard: list[int] = []
    with (tmp_path / "packed").open("wb") as out:
        pack_images(tmp_path, images, out, heard.append)
    assert heard == [1, 2, 3] and (tmp_path / "packed").stat().st_size == packed_bytes(tmp_path, images)
    with (tmp_path / "packed").open("rb") as file:
        found = PackedImages(file, images)
        assert len(found) == 3
        for place in (2, 0, 1):
            with Image.open(tmp_path / images[place]) as image:
                assert found[place].mode == "RGB" and np.array_equal(np.asarray(found[place]), np.asarray(image))
        assert [image.size for image in found] == [(7, 5), (7, 6), (7, 7)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("place", [-1, 3, 99])
def test_place_beyond_the_images_is_an_error(tmp_path: Path, images: list[str], place: int) -> None:
    with packed(tmp_path, images) as file, pytest.raises(IndexError, match="there are 3"):
        PackedImages(file, images)[place]


def numbers(*values: int) -> bytes:
    return np.array(values, OFFSET).tobytes()


@pytest.mark.parametrize(
    "content",
    [b"1", numbers(2), numbers(2, 0, 1), numbers(3, 0, 1, 2, 3) + b"abc", numbers(-1, 0, 1, 2) + b"ab",
     numbers(2, 0, 2, 1) + b"ab", numbers(2, 0, 1, 3) + b"ab", numbers(2, 1, 1, 2) + b"ab",
     numbers(2, 0, -1, 2) + b"ab", numbers(2, 0, 1, 2**62) + b"ab"],
)  # fmt: skip
def test_other_files_are_not_packed_images(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "packed").write_bytes(content)
    with (tmp_path / "packed").open("rb") as file, pytest.raises(ValueError, match="packed images"):
        PackedImages(file, ["a.png", "b.png"])


def test_packed_image_that_cannot_be_decoded_is_named(tmp_path: Path, images: list[str]) -> None:
    (tmp_path / images[1]).write_bytes(b"no image")
    with packed(tmp_path, images) as file, pytest.raises(EvaluationFailed, match=images[1]) as failed:
        PackedImages(file, images)[1]
    assert failed.value.code == "unreadable_image"


def test_image_that_grows_while_it_is_packed_is_named(
    tmp_path: Path, images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "file_size", lambda path: path.stat().st_size - 1)
    with pytest.raises(EvaluationFailed, match=images[0]):
        packed(tmp_path, images).close()


def test_crops_of_another_number_or_size_are_refused(tmp_path: Path, images: list[str]) -> None:
    with (tmp_path / "crops").open("wb") as out:
        write_crops(tmp_path, images, RECIPE, out, lambda done: None)
    with (tmp_path / "crops").open("rb") as file:
        assert open_crops(file, 3, RECIPE).shape == (3, 4, 4, 3)
        for n in (2, 4):
            with pytest.raises(ValueError, match="are no crops"):
                open_crops(file, n, RECIPE)
    (tmp_path / "crops").write_bytes(b"")
    with (tmp_path / "crops").open("rb") as file:
        assert open_crops(file, 0, RECIPE).shape == (0, 4, 4, 3)


def test_crops_that_were_let_go_are_read_again(tmp_path: Path) -> None:
    """A map of 50 MB that was read whole stands in the process's memory until it is let go."""
    recipe = CropRecipe(crop_px=256, resize_px=256, fit=Fit.SQUASH, interpolation="bicubic")
    whole = RNG.integers(0, 256, (256, 256, 256, 3), dtype=np.uint8)
    (tmp_path / "crops").write_bytes(whole.tobytes())
    with (tmp_path / "crops").open("rb") as file:
        crops = open_crops(file, 256, recipe)
        assert np.array_equal(crops, whole)
        before = resident_file_kb()
        let_go(crops)
        assert before - resident_file_kb() > 40_000
        assert np.array_equal(crops[7], whole[7])
    let_go(whole)  # an array of numbers has nothing to let go of
    assert whole.any()


def resident_file_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssFile")))


def test_few_crops_wait_to_be_written(tmp_path: Path, images: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding never runs further ahead of writing than AT_ONCE images, however slow the disk is."""
    ahead = most = 0
    crop = files.crop

    def counted(image: Image.Image, recipe: CropRecipe) -> np.ndarray:
        nonlocal ahead, most
        ahead += 1
        most = max(most, ahead)
        return crop(image, recipe)

    class Slow(io.BytesIO):
        def write(self, content: object) -> int:
            nonlocal ahead
            ahead -= 1
            return 0

    monkeypatch.setattr(files, "crop", counted)
    heard: list[int] = []
    write_crops(tmp_path, images * 70, RECIPE, Slow(), heard.append)
    assert heard == [64, 128, 192, 210] and most <= AT_ONCE + files.MAX_DECODERS


def test_damage_anywhere_is_named_or_harmless(tmp_path: Path, images: list[str]) -> None:
    whole = (tmp_path / images[0]).read_bytes()
    failures = 0
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            try:
                decode(io.BytesIO(damaged), "damaged.png")
            except EvaluationFailed as error:
                failures += 1
                assert error.code == "unreadable_image" and "damaged.png" in error.message
    assert failures > len(whole)
