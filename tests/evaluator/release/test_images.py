"""Images are stored as pixels and nothing else."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from evaluator.release.importing.images import UndecodableImage, digest_pixels, store_png

RNG = np.random.default_rng(0)
GREY8 = RNG.integers(0, 256, (9, 7), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (9, 7), dtype=np.uint16)
RGB = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (9, 7, 4), dtype=np.uint8)
PNG_CHUNKS_OF_PIXELS = {b"IHDR", b"IDAT", b"IEND"}


def encode(image: Image.Image, kind: str = "PNG", **save) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **save)
    return file.getvalue()


def chunks(png: bytes) -> set[bytes]:
    found, at = set(), 8
    while at < len(png):
        found.add(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4], "big")
    return found


@pytest.mark.parametrize("values", [GREY8, GREY16, RGB, RGBA], ids=["grey8", "grey16", "rgb", "rgba"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_pixels_are_kept_exactly(tmp_path, values, kind):
    stored = store_png(encode(Image.fromarray(values), kind), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), values)
        assert (stored.width, stored.height, stored.digest) == (7, 9, digest_pixels(image))


def test_metadata_is_stripped(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("source", "SENTINEL-TEXT")
    exif = Image.Exif()
    exif[0x010E] = "SENTINEL-EXIF"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(RGB)
    store_png(encode(image, pnginfo=text, exif=exif, icc_profile=profile, dpi=(72, 72)), tmp_path / "a.png")
    store_png(encode(image, "JPEG", exif=exif, comment=b"SENTINEL-COMMENT"), tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        assert chunks((tmp_path / name).read_bytes()) == PNG_CHUNKS_OF_PIXELS


def test_rotation_stated_in_metadata_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees to view"
    store_png(encode(Image.fromarray(RGB), exif=exif), tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), RGB)


def test_palettes_become_plain_colour(tmp_path):
    palette = Image.fromarray(RGB).quantize(8)
    store_png(encode(palette), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGB" and np.array_equal(np.asarray(image), np.asarray(palette.convert("RGB")))


def test_transparency_becomes_an_alpha_channel(tmp_path):
    palette = Image.fromarray(RGB).quantize(8)
    store_png(encode(palette, transparency=0), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGBA" and set(np.asarray(image)[..., 3].ravel()) == {0, 255}


def test_writing_times_do_not_tell_the_order(tmp_path):
    for name in ("a.png", "b.png"):
        store_png(encode(Image.fromarray(GREY8)), tmp_path / name)
    assert (tmp_path / "a.png").stat().st_mtime == (tmp_path / "b.png").stat().st_mtime < 4e8


FLOATS = encode(Image.fromarray(RNG.random((9, 7), dtype=np.float32)), "TIFF")
WHOLE = encode(Image.fromarray(RGB))


@pytest.mark.parametrize(
    ("encoded", "said"),
    [(None, "no bytes"), (b"", "no bytes"), (b"hello", "none of PNG"), (WHOLE[:60], "damaged"), (FLOATS, "convert")],
    ids=["null", "empty", "text", "cut off", "float pixels"],
)
def test_what_cannot_be_decoded_says_why(tmp_path, encoded, said):
    with pytest.raises(UndecodableImage, match=said):
        store_png(encoded, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_one_damaged_byte_anywhere_is_refused_or_harmless(tmp_path):
    for at in range(0, len(WHOLE), 7):
        damaged = bytearray(WHOLE)
        damaged[at] ^= 0xFF
        try:
            store_png(bytes(damaged), tmp_path / "a.png")
        except UndecodableImage:
            continue
