"""The images of a split in one file, which can be handed to a sandbox as one descriptor.

Two forms. Crops: uint8 (n, crop_px, crop_px, 3), nothing else; a single crop stands for all n images. Packed: the image
files one after the other, for models that bring a processor of their own: n, then n + 1 offsets (all int64,
little-endian), then the bytes.
"""

import io
import mmap
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
from evaluator.pixels.read import decode, file_size, read_image, read_whole
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
    if n_bytes == crop_bytes(1, recipe):
        return np.broadcast_to(np.memmap(file, np.uint8, "r", shape=(1, *shape[1:])), shape)
    if n_bytes != crop_bytes(n, recipe):
        raise ValueError(f"{n_bytes:,} bytes are no crops of shape {shape}")
    return np.memmap(file, np.uint8, "r", shape=shape)


def let_go(crops: NDArray[np.uint8]) -> None:
    """Give back the memory of what was read of `open_crops` so far; what is read again comes from the file again."""
    behind: object = crops.base
    if isinstance(behind, mmap.mmap):
        behind.madvise(mmap.MADV_DONTNEED)


def pack_images(folder: Path, files: Sequence[str], out: BinaryIO, on_done: OnDone) -> None:
    """Put the image files one after the other, undecoded. EvaluationFailed `unreadable_image` names a missing one."""
    sizes = [file_size(folder / file) for file in files]
    _write_offsets(sizes, out)
    for done, (file, size) in enumerate(zip(files, sizes, strict=True), 1):
        out.write(read_whole(folder / file, size))
        on_done(done)


def packed_bytes(folder: Path, files: Sequence[str]) -> int:
    """The size of the file that `pack_images` writes. EvaluationFailed `unreadable_image` as there."""
    return OFFSET.itemsize * (len(files) + 2) + sum(file_size(folder / file) for file in files)


def crop_bytes(n: int, recipe: CropRecipe) -> int:
    """The size of the file that `write_crops` writes for n images."""
    return n * recipe.crop_px**2 * 3


def write_blank_crop(recipe: CropRecipe, out: BinaryIO) -> None:
    """The grey image of evaluator.pixels.blank as crops."""
    out.write(crop(blank_image(), recipe).tobytes())


def pack_blank(n: int, out: BinaryIO) -> None:
    """The grey image of evaluator.pixels.blank, n times, packed."""
    content = blank_png()
    _write_offsets([len(content)] * n, out)
    out.write(content * n)


def packed_blank_bytes(n: int) -> int:
    """The size of the file that `pack_blank` writes."""
    return OFFSET.itemsize * (n + 2) + n * len(blank_png())


def _write_offsets(sizes: Sequence[int], out: BinaryIO) -> None:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(OFFSET)
    out.write(np.array([len(sizes)], OFFSET).tobytes() + offsets.tobytes())


class PackedImages:
    """RGB images by place, decoded when asked for. `names`: what to call an image that cannot be decoded.

    Raises ValueError for a file that `pack_images` did not write for as many images, IndexError for a place beyond.
    """

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        self._file, self._names = file, names
        raw = np.memmap(file, np.uint8, "r")
        head = OFFSET.itemsize * (len(names) + 2)
        if len(raw) < head:
            raise ValueError(f"{len(raw)} bytes are no {len(names)} packed images")
        n, *offsets = (int(number) for number in raw[:head].view(OFFSET))
        if n != len(names):
            raise ValueError(f"{n} packed images, {len(names)} expected")
        self._offsets, self._bytes = np.array(offsets), raw[head:]
        if offsets[0] != 0 or offsets[-1] != len(self._bytes) or (np.diff(self._offsets) < 0).any():
            raise ValueError("the packed images do not lie one after the other")

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, place: int) -> Image.Image:
        if not 0 <= place < len(self):
            raise IndexError(f"there is no image {place}: there are {len(self)}")
        content = bytes(self._bytes[self._offsets[place] : self._offsets[place + 1]])
        return decode(io.BytesIO(content), Path(self._names[place]).name)
