"""Image files as people have them: what is read, what is said, what is refused."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from evaluator.errors import InputError
from evaluator.suggest.images.develop import Planes, Recipe, develop, parse_channels
from evaluator.suggest.images.normalise import parse_normalisation
from evaluator.suggest.images.read import read_file, read_stored

RANDOM = np.random.default_rng(0)
GREY16 = RANDOM.integers(0, 65_536, (12, 20), dtype=np.uint16)
FOUR = RANDOM.integers(0, 65_536, (4, 12, 20), dtype=np.uint16)
STACK = RANDOM.integers(0, 65_536, (5, 3, 12, 20), dtype=np.uint16)  # z, channel, y, x
RGB = RANDOM.integers(0, 256, (12, 20, 3), dtype=np.uint8)
DTYPE = parse_normalisation("dtype")


def tiff(values: np.ndarray, **how: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **how)
    return file.getvalue()


def pillow(values: np.ndarray, kind: str, **how: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind, **how)
    return file.getvalue()


def png16_rgb() -> bytes:
    rows = b"".join(b"\0" + bytes(30) for _ in range(4))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


@pytest.mark.parametrize(("content", "expected", "axis"), [
    (tiff(FOUR, imagej=True, metadata={"axes": "CYX"}), FOUR[None], ""),
    (tiff(STACK, imagej=True, metadata={"axes": "ZCYX"}), STACK, "Z"),
    (tiff(FOUR, ome=True, photometric="minisblack", metadata={"axes": "ZYX"}), FOUR[:, None], "Z"),
    (tiff(FOUR.astype(">u2"), photometric="minisblack", metadata={"axes": "CYX"}, compression="zlib"), FOUR[None], ""),
    (tiff(RGB, photometric="rgb"), np.moveaxis(RGB, 2, 0)[None], ""),
    (tiff(np.moveaxis(RGB, 2, 0), photometric="rgb", planarconfig="separate"), np.moveaxis(RGB, 2, 0)[None], ""),
    (tiff(GREY16), GREY16[None, None], ""),
    (pillow(GREY16, "TIFF", compression="tiff_lzw"), GREY16[None, None], ""),
    (tiff(GREY16.astype(np.float32)), GREY16[None, None].astype(np.float32), ""),
], ids=["imagej", "stack", "ome", "big-endian deflate", "rgb", "planar rgb", "grey 16", "lzw", "float"])  # fmt: skip
def test_tiff_gives_the_values_in_the_file(content: bytes, expected: np.ndarray, axis: str) -> None:
    stored = read_stored(content, ".TIF")
    assert stored.axis == axis and stored.notes == ()
    np.testing.assert_array_equal(stored.planes, expected)


def test_png_and_jpeg_give_the_values_in_the_file() -> None:
    np.testing.assert_array_equal(read_stored(pillow(GREY16, "PNG"), ".png").planes, GREY16[None, None])
    np.testing.assert_array_equal(read_stored(pillow(RGB, "PNG"), ".png").planes[0], np.moveaxis(RGB, 2, 0))
    assert read_stored(pillow(RGB, "JPEG"), ".jpeg").planes.shape == (1, 3, 12, 20)


def test_what_reading_changes_is_said() -> None:
    alpha = np.dstack([RGB, np.full((12, 20), 7, np.uint8)])
    for content, suffix in ((pillow(alpha, "PNG"), ".png"), (tiff(alpha, photometric="rgb", extrasamples=[2]), ".tif")):
        stored = read_stored(content, suffix)
        assert stored.notes == ("transparency was left out",)
        np.testing.assert_array_equal(stored.planes[0], np.moveaxis(RGB, 2, 0))
    inverted = read_stored(tiff(GREY16, photometric="miniswhite"), ".tif")
    np.testing.assert_array_equal(inverted.planes[0, 0], 65_535 - GREY16)
    assert "inverted" in inverted.notes[0]


@pytest.mark.parametrize(("content", "suffix", "code"), [
    (b"", ".png", "empty_image"),
    (b"no image at all", ".png", "unreadable_image"),
    (b"no image at all", ".tif", "unreadable_image"),
    (pillow(RGB, "PNG")[:-40], ".png", "unreadable_image"),
    (pillow(RGB, "JPEG"), ".png", None),  # a wrong suffix among images read alike
    (tiff(GREY16)[:-40], ".tif", "unreadable_image"),
    (png16_rgb(), ".png", "lossy_read"),
    (tiff(np.full((4, 4), np.nan, np.float32)), ".tif", "not_finite"),
    (tiff(np.ones((4, 4), np.complex64)), ".tif", "unreadable_image"),
], ids=["empty", "text", "text as tiff", "cut png", "jpeg as png", "cut tiff", "16-bit", "nan", "complex"])  # fmt: skip
def test_files_that_cannot_be_read_are_refused(content: bytes, suffix: str, code: str | None, tmp_path: Path) -> None:
    path = tmp_path / f"image{suffix}"
    path.write_bytes(content)
    if code is None:
        assert read_stored(read_file(path), suffix).n_channels == 3
        return
    with pytest.raises(InputError) as caught:
        read_stored(read_file(path), suffix)
    assert caught.value.counts == {code: 1}


def test_a_compressed_stack_is_refused_rather_than_cut_to_its_first_page() -> None:
    file = io.BytesIO()
    pages = [Image.fromarray(page) for page in FOUR]
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    with pytest.raises(InputError, match="lossy_read.*LZW"):
        read_stored(file.getvalue(), ".tif")


def test_a_tiff_that_claims_a_huge_image_is_refused_before_it_is_made() -> None:
    content = bytearray(tiff(GREY16))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        tags = file.pages.first.tags
        for name in ("ImageWidth", "ImageLength"):
            content[tags[name].valueoffset : tags[name].valueoffset + 2] = struct.pack("<H", 65_535)
    with pytest.raises(InputError, match="image_too_large"):
        read_stored(bytes(content), ".tif")


def shown(content: bytes, **recipe: Any) -> np.ndarray:
    return np.asarray(develop(read_stored(content, ".tif"), Recipe(**recipe)).image)


def test_channels_become_colours_in_the_order_given() -> None:
    content = tiff(FOUR, imagej=True, metadata={"axes": "CYX"})
    expected = np.rint(FOUR / 257).astype(np.uint8)
    found = shown(content, normalise=DTYPE, channels=parse_channels("3,2,1"))
    np.testing.assert_array_equal(found, np.moveaxis(expected[[2, 1, 0]], 0, 2))
    np.testing.assert_array_equal(shown(content, normalise=DTYPE, channels=(4,)), np.dstack([expected[3]] * 3))


@pytest.mark.parametrize("rule", list(Planes))
def test_stacks_become_what_is_stated(rule: Planes) -> None:
    expected = {
        Planes.FIRST: STACK[0], Planes.MIDDLE: STACK[2], Planes.MAX: STACK.max(0), Planes.MEAN: np.rint(STACK.mean(0)),
        Planes.CHANNELS: STACK.reshape(15, 12, 20),
    }[rule]  # fmt: skip
    found = shown(tiff(STACK, imagej=True, metadata={"axes": "ZCYX"}), normalise=DTYPE, planes=rule, channels=(3, 1, 2))
    np.testing.assert_array_equal(found, np.moveaxis(np.rint(expected[[2, 0, 1]] / 257).astype(np.uint8), 0, 2))


def test_pictures_that_come_out_dark_are_said_to() -> None:
    """12-bit cameras write into 16 bits: by the ends of the type, nothing is to be seen."""
    stored = read_stored(tiff(GREY16 // 17), ".tif")
    assert any("6% of white" in note for note in develop(stored, Recipe(normalise=DTYPE)).notes)
    assert develop(stored, Recipe(normalise=parse_normalisation("range:0,4095"))).notes == ()


@pytest.mark.parametrize(("values", "recipe", "code"), [
    (FOUR, Recipe(normalise=DTYPE), "channels_needed"),
    (FOUR, Recipe(normalise=DTYPE, channels=(5,)), "no_such_channel"),
    (FOUR, Recipe(channels=(1,)), "normalisation_needed"),
    (STACK, Recipe(normalise=DTYPE), "stack_needs_planes"),
])  # fmt: skip
def test_nothing_is_chosen_silently(values: np.ndarray, recipe: Recipe, code: str) -> None:
    content = tiff(values, imagej=True, metadata={"axes": "CYX" if values is FOUR else "ZCYX"})
    with pytest.raises(InputError) as caught:
        develop(read_stored(content, ".tif"), recipe)
    assert caught.value.counts == {code: 1}


@pytest.mark.parametrize("text", ["", "0", "1,2", "1,2,3,4", "a", "-1", "1,,2"])
def test_channels_are_one_or_three_numbers_from_one(text: str) -> None:
    with pytest.raises(InputError, match="bad_channels"):
        parse_channels(text)
