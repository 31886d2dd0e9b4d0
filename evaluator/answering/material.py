"""What a model is asked about: tables and pixels of one split. In: a release, or open files; out: Material. Torch-free.

Knows no key. The same value reaches a model in this process and one in a sandbox.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluator.architectures.architecture import Architecture
from evaluator.pixels.cache import PixelCache, Wanted, open_pixels
from evaluator.pixels.files import PackedImages, open_crops
from evaluator.release.read import read_info, read_items, read_questions
from evaluator.release.schema import ReleaseInfo, Split


@dataclass(frozen=True, kw_only=True)
class Material:
    """One split. items: ITEMS; questions: QUESTIONS, in canonical order; pixels: a file of evaluator.pixels.files, of
    the split's images or, when `blank`, of grey ones in their place (evaluator.pixels.blank)."""

    info: ReleaseInfo
    split: Split
    items: pa.Table
    questions: pa.Table
    pixels: BinaryIO
    blank: bool = False

    def crops(self, architecture: Architecture) -> NDArray[np.uint8]:
        """(items, crop_px, crop_px, 3), for architectures with a crop recipe."""
        recipe = architecture.crop_recipe
        if recipe is None:
            raise ValueError(f"{architecture.name} takes whole images")
        return open_crops(self.pixels, self.items.num_rows, recipe)

    def images(self) -> PackedImages:
        """The whole images, for architectures without a crop recipe."""
        return PackedImages(self.pixels, self.items["file"].to_pylist())


@contextmanager
def open_material(
    release: Path, split: Split, architecture: Architecture, cache: PixelCache,
    on_pixels: Callable[[int, int], None] = lambda done, total: None, *, blank: bool = False,
) -> Iterator[Material]:  # fmt: skip
    """The material of a split as `architecture` takes it, with its own images or blank ones. `on_pixels` hears how many
    of how many images are ready.

    Raises InputError for a folder that is no release or lacks the split, EvaluationFailed `unreadable_image`.
    """
    info, items = read_info(release), read_items(release, split)
    files = items["file"].to_pylist()
    wanted = Wanted(
        release=release, release_hash=info.hash, split=split, files=files, form=architecture.crop_recipe, blank=blank
    )  # fmt: skip
    on_pixels(0, len(files))
    with open_pixels(wanted, cache, lambda done: on_pixels(done, len(files))) as pixels:
        yield Material(
            info=info, split=split, items=items, questions=read_questions(release, split), pixels=pixels, blank=blank
        )  # fmt: skip
