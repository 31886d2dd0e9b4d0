"""The images of a split in one file, which can be handed to a sandbox as one descriptor.

Two forms. Crops: uint8 (n, crop_px, crop_px, 3), nothing else; a single crop stands for all n images. Packed: the image
files one after the other, for models that bring a processor of their own: n, then n + 1 offsets (all int64,
little-endian), then the bytes.
"""

import io
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluator.pixels.blank import blank_image, blank_png
from evaluator.pixels.crop import Pixels, crop
from evaluator.pixels.read import decode, read_image
from evaluator.pixels.recipe import CropRecipe

MAX_DECODERS = 8
AT_ONCE = 64
OFFSET = np.dtype("<i8")

OnDone = Callable[[int], None]  # how many images are done


def write_crops(folder: Path, files: Sequence[str], recipe: CropRecipe, out: BinaryIO, on_done: OnDone) -> None:
    """Decode and crop `files` under `folder`, each once, in order. EvaluationFailed `unreadable_image` names one."""

    def one(file: str) -> Pixels:
        return crop(read_image(folder / file), recipe)

    done = 0
    with ThreadPoolExecutor(min(MAX_DECODERS, os.cpu_count() or 1)) as decoders:
        for start in range(0, len(files), AT_ONCE):  # a bounded number of crops wait to be written
            some = files[start : start + AT_ONCE]
            for pixels in decoders.map(one, some):
                out.write(np.ascontiguousarray(pixels).data)
            done += len(some)
            on_done(done)


def open_crops(file: BinaryIO, n: int, recipe: CropRecipe) -> NDArray[np.uint8]:
    """The crops of n images, read on touch. Raises ValueError for a file of another size."""
    shape = (n, recipe.crop_px, recipe.crop_px, 3)
    n_bytes = os.fstat(file.fileno()).st_size
    if not n:
        return np.empty(shape, np.uint8)
    if n_bytes == math.prod(shape[1:]):
        return np.broadcast_to(np.memmap(file, np.uint8, "r", shape=(1, *shape[1:])), shape)
    if n_bytes != math.prod(shape):
        raise ValueError(f"{n_bytes:,} bytes are no crops of shape {shape}")
    return np.memmap(file, np.uint8, "r", shape=shape)


def pack_images(folder: Path, files: Sequence[str], out: BinaryIO, on_done: OnDone) -> None:
    """Put the image files one after the other, undecoded."""
    _write_offsets([(folder / file).stat().st_size for file in files], out)
    for done, file in enumerate(files, 1):
        out.write((folder / file).read_bytes())
        on_done(done)


def write_blank_crop(recipe: CropRecipe, out: BinaryIO) -> None:
    """The grey image of evaluator.pixels.blank as crops."""
    out.write(crop(blank_image(), recipe).tobytes())


def pack_blank(n: int, out: BinaryIO) -> None:
    """The grey image of evaluator.pixels.blank, n times, packed."""
    content = blank_png()
    _write_offsets([len(content)] * n, out)
    out.write(content * n)


def _write_offsets(sizes: Sequence[int], out: BinaryIO) -> None:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(OFFSET)
    out.write(np.array([len(sizes)], OFFSET).tobytes() + offsets.tobytes())


class PackedImages:
    """RGB images by place, decoded when asked for. `names`: what to call an image that cannot be decoded."""

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        self._file, self._names = file, names
        raw = np.memmap(file, np.uint8, "r")
        n = int(raw[: OFFSET.itemsize].view(OFFSET)[0])
        if n != len(names):
            raise ValueError(f"{n} packed images, {len(names)} expected")
        head = OFFSET.itemsize * (n + 2)
        self._offsets = raw[OFFSET.itemsize : head].view(OFFSET)
        self._bytes = raw[head:]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, place: int) -> Image.Image:
        content = bytes(self._bytes[self._offsets[place] : self._offsets[place + 1]])
        return decode(io.BytesIO(content), Path(self._names[place]).name)
