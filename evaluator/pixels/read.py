"""Decoding one image of a release. In: a path or bytes; out: RGB pixels, or an error that names the image."""

from pathlib import Path
from typing import IO

from PIL import Image

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
        message = f"The release's image {name} cannot be decoded ({error}). Import the release again."
        raise EvaluationFailed("unreadable_image", message, retry=False) from error
