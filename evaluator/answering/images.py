"""Images of a release as model inputs. In: items; out: batches of preprocessed images, each decoded once."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from PIL import Image

from evaluator.errors import EvaluationFailed

Input = TypeVar("Input")
MAX_DECODERS = 8


def load_batches(
    folder: Path, files: Sequence[str], preprocess: Callable[[Image.Image], Input], batch_size: int
) -> Iterator[list[Input]]:
    """Yield the preprocessed images of `files` in order, `batch_size` at a time; the next batch loads meanwhile.

    Boundaries depend on the order of `files` and `batch_size` alone. Raises EvaluationFailed `unreadable_image`.
    """

    def load(file: str) -> Input:
        return preprocess(read_image(folder / file))

    batches = [files[start : start + batch_size] for start in range(0, len(files), batch_size)]
    with ThreadPoolExecutor(min(MAX_DECODERS, os.cpu_count() or 1)) as decoders:
        coming = [decoders.submit(load, file) for file in batches[0]] if batches else []
        for following in [*batches[1:], []]:
            current, coming = coming, [decoders.submit(load, file) for file in following]
            yield [future.result() for future in current]


def read_image(path: Path) -> Image.Image:
    """Decode one image to RGB. Raises EvaluationFailed `unreadable_image`: the release must be repaired."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        message = f"The release's image {path.name} cannot be decoded ({error}). Import the release again."
        raise EvaluationFailed("unreadable_image", message, retry=False) from error
