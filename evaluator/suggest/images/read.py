"""One image file as it is stored. In: a path; out: its channels, unchanged, or an error that says what to do.

PNG and JPEG through Pillow, TIFF through tifffile. Pixels are what the file holds: no colour profile and no rotation
mark is applied, as when a split is answered.
"""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from evaluator.errors import InputError

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 2**27  # of one channel
MAX_FILE_BYTES = 2 * 1024**3
# How each kind of pixel is taken, and what is said of those that are changed thereby.
MODES = {
    "1": ("L", None), "L": ("L", None), "RGB": ("RGB", None), "I;16": (None, None), "I;16L": (None, None),
    "I;16B": (None, None), "I": (None, None), "F": (None, None),
    "P": ("RGB", "palette colours were looked up"), "LA": ("L", "transparency was left out"),
    "PA": ("RGB", "transparency was left out"), "RGBA": ("RGB", "transparency was left out"),
    "CMYK": ("RGB", "print colours were turned into RGB"), "YCbCr": ("RGB", None),
}  # fmt: skip
DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, ArithmeticError,
    MemoryError, RuntimeError, AssertionError, NotImplementedError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """planes: (p, c, h, w), p > 1 for a stack; `axis`: what the planes are (Z, T …), as the file names them.

    notes: what was changed by reading, in words.
    """

    planes: NDArray
    axis: str = ""
    notes: tuple[str, ...] = ()

    @property
    def n_channels(self) -> int:
        return int(self.planes.shape[1])


def read_stored(content: bytes, suffix: str) -> Stored:
    """Decode a file of one of SUFFIXES. Raises InputError `unreadable_image`, `image_too_large`, `lossy_read`,
    `empty_image`, `not_finite`."""
    try:
        if SUFFIXES[suffix.lower()] == "TIFF":
            from evaluator.suggest.images.tiff import read_tiff

            stored = read_tiff(content)
        else:
            stored = read_with_pillow(content)
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise too_large(f"more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise unreadable("it is no image of the kind that its name says") from None
    except DAMAGE as error:
        raise unreadable(f"it is damaged or cut off: {error}") from error
    if np.issubdtype(stored.planes.dtype, np.floating) and not np.isfinite(stored.planes).all():
        message = "Some of its pixels are no finite numbers. Replace NaN and infinite values in the file."
        raise InputError.single("not_finite", message)
    return stored


def read_with_pillow(content: bytes, formats: tuple[str, ...] = ("PNG", "JPEG")) -> Stored:
    """The first frame through Pillow, without loss. InputError `lossy_read`; Pillow's own errors as they come."""
    if content[:8] == b"\x89PNG\r\n\x1a\n" and content[24:25] == b"\x10" and content[25:26] != b"\0":
        message = "It is a PNG of 16-bit colours, which would be read as 8-bit. Save it as TIFF."
        raise InputError.single("lossy_read", message)
    with Image.open(io.BytesIO(content), formats=formats) as image:
        if image.width * image.height > MAX_PIXELS:
            raise too_large(f"more than {MAX_PIXELS:,} pixels")
        if image.mode not in MODES:
            raise InputError.single(
                "unreadable_image", f"Its {image.mode} pixels are of no known kind. Save it as TIFF."
            )
        mode, note = MODES[image.mode]
        notes = [note] if note else []
        if "transparency" in image.info and "A" not in image.mode:
            notes.append("transparency was left out")
        if getattr(image, "n_frames", 1) > 1:
            notes.append("only the first of several frames was read")
        values = np.array(image if mode in (None, image.mode) else image.convert(mode))
    channels = values[None] if values.ndim == 2 else np.moveaxis(values, 2, 0)
    return Stored(planes=channels[None], notes=tuple(notes))


def read_file(path: Path) -> bytes:
    """The bytes of an image file. Raises InputError `unreadable_image`, `empty_image`, `image_too_large`."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise too_large(f"more than {MAX_FILE_BYTES / 1024**3:g} GiB")
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(f"it cannot be opened: {error.strerror or error}") from error
    if not content:
        raise InputError.single("empty_image", "The file is empty. Copy it again, or take it out of the folder.")
    return content


def unreadable(why: str) -> InputError:
    """`unreadable_image`, with the reason in one line."""
    said = " ".join(why.split())[:200]
    return InputError.single(
        "unreadable_image", f"It cannot be read ({said}). Repair it, or take it out of the folder."
    )


def too_large(what: str) -> InputError:
    """`image_too_large`."""
    return InputError.single("image_too_large", f"It has {what}. Cut it into tiles, or make it smaller.")
