"""Images of a release: pixels and nothing else. In: an encoded image; out: a PNG without metadata, size and digest."""

import hashlib
import io
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
# How each kind of pixel is stored. 16-bit grey stays 16-bit; palettes and print colours become plain colour.
STORED_MODE = {
    "1": "L", "L": "L", "LA": "RGBA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB",
    "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "I;16": "I;16", "I;16L": "I;16", "I;16B": "I;16", "I": "I;16",
}  # fmt: skip
FIXED_TIME = (315_532_800, 315_532_800)  # 1980-01-01: writing times would tell the hidden order


class UndecodableImage(Exception):
    """The image cannot become a PNG; the message says why."""


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """`digest` covers size, mode and pixel values, so it does not depend on how a PNG is compressed."""

    width: int
    height: int
    digest: str


def store_png(encoded: bytes | None, path: Path) -> StoredImage:
    """Write `encoded` to `path` as a PNG of its first frame, pixels only. Raises UndecodableImage."""
    image = decode_pixels(encoded)
    image.save(path, "PNG")
    os.utime(path, FIXED_TIME)
    return StoredImage(width=image.width, height=image.height, digest=digest_pixels(image))


def digest_pixels(image: Image.Image) -> str:
    """SHA-256 over mode, size and raw pixel values."""
    digest = hashlib.sha256(f"{image.mode} {image.width} {image.height}\n".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def decode_pixels(encoded: bytes | None) -> Image.Image:
    """The first frame's pixels as stored (no EXIF rotation, no colour profile) in a mode that PNG has."""
    if not encoded:
        raise UndecodableImage("it has no bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(encoded), formats=FORMATS) as opened:
                return _strip(opened)
    except UndecodableImage:
        raise
    except UnidentifiedImageError:
        raise UndecodableImage(f"it is none of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UndecodableImage(f"it has more than {Image.MAX_IMAGE_PIXELS} pixels") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, MemoryError) as error:
        # Pillow's readers raise all of these on damaged files.
        raise UndecodableImage(f"it is damaged ({error})") from error


def _strip(opened: Image.Image) -> Image.Image:
    mode = STORED_MODE.get(opened.mode)
    if mode is None:
        raise UndecodableImage(f"its {opened.mode} pixels cannot be stored as PNG; convert it to 8 or 16 bits")
    if opened.mode == "I":
        values = np.asarray(opened)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise UndecodableImage("its 32-bit pixels do not fit 16 bits; convert it to 8 or 16 bits")
    if "transparency" in opened.info and mode in ("L", "RGB"):
        mode = "RGBA"
    image = opened.convert(mode) if opened.mode != mode else opened
    image.load()
    return Image.frombytes(image.mode, image.size, image.tobytes())  # a new image carries no metadata to write
