"""Decoding one image of a release. In: a path or bytes; out: RGB pixels, or an error that names the image."""

from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from evaluator.errors import EvaluationFailed


def read_image(path: Path) -> Image.Image:
    """Decode one image file to RGB, see `decode`."""
    return decode(path, path.name)


def decode(source: Path | IO[bytes], name: str) -> Image.Image:
    """Decode one image to RGB. Raises EvaluationFailed `unreadable_image`: the release must be repaired."""
    try:
        with Image.open(source) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(name, "decoded", error) from error


def file_size(path: Path) -> int:
    """The bytes of an image file. Raises EvaluationFailed `unreadable_image`."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path.name, "read", error) from error


def read_whole(path: Path, size: int) -> bytes:
    """The `size` bytes of an image file. Raises EvaluationFailed `unreadable_image`, also for another size."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path.name, "read", error) from error
    if len(content) != size:
        raise _unreadable(path.name, "read", ValueError(f"{len(content)} bytes instead of {size}"))
    return content


def _unreadable(name: str, done: str, why: Exception) -> EvaluationFailed:
    said = "it is no image" if isinstance(why, UnidentifiedImageError) else getattr(why, "strerror", None) or why
    message = f"The release's image {name} cannot be {done} ({said}). Import the release again."
    return EvaluationFailed("unreadable_image", message, retry=False)
