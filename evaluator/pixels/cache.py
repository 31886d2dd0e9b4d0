"""Pixel files kept for the next model. In: a split and a form; out: an open file that is whole and unchanged.

A file's name is what it holds: the release's content hash, the split and the form. Its SHA-256 stands beside it and is
checked before each use, because a process that saw the file may have been a stranger's.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evaluator.pixels.files import pack_blank, pack_images, write_blank_crop, write_crops
from evaluator.pixels.recipe import CropRecipe
from evaluator.release.schema import Split

log = logging.getLogger(__name__)

GIB = 1024**3
PACKED = "packed"
SUFFIX, DIGEST_SUFFIX = ".pixels", ".sha256"

OnDone = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class PixelCache:
    """Where pixel files are kept, and how many bytes of them at most. `folder` None: nothing is kept."""

    folder: Path | None = None
    max_bytes: int = 16 * GIB


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The images of a split, in order, as crops by the recipe `form`, or packed whole when it is None.

    blank: the grey image of evaluator.pixels.blank in place of each.
    """

    release: Path
    release_hash: str
    split: Split
    files: Sequence[str]
    form: CropRecipe | None
    blank: bool = False

    @property
    def name(self) -> str:
        form = PACKED if self.form is None else self.form.key
        if self.blank:
            form += " blank"
        named = hashlib.sha256(f"{self.release_hash} {self.split} {len(self.files)} {form}".encode())
        return f"{named.hexdigest()}{SUFFIX}"

    def write(self, out: BinaryIO, on_done: OnDone) -> None:
        """Make the file. Raises EvaluationFailed `unreadable_image`."""
        if self.blank:
            pack_blank(len(self.files), out) if self.form is None else write_blank_crop(self.form, out)
            on_done(len(self.files))
        elif self.form is None:
            pack_images(self.release, self.files, out, on_done)
        else:
            write_crops(self.release, self.files, self.form, out, on_done)


@contextmanager
def open_pixels(wanted: Wanted, cache: PixelCache, on_done: OnDone = lambda done: None) -> Iterator[BinaryIO]:
    """The file of evaluator.pixels.files that is `wanted`, read-only. Made when the cache lacks it or it was changed.

    `on_done` hears how many images are done. Raises EvaluationFailed `unreadable_image`.
    """
    if cache.folder is None:
        with tempfile.TemporaryDirectory(prefix="ubench-pixels-") as folder:
            path = Path(folder, wanted.name)
            with path.open("xb") as out:
                wanted.write(out, on_done)
            with path.open("rb") as file:
                yield file
        return
    kept: BinaryIO = _unchanged(cache.folder / wanted.name) or _make(wanted, cache, on_done)
    with kept:
        on_done(len(wanted.files))
        yield kept


def _unchanged(path: Path) -> BinaryIO | None:
    """The file, open at its start, if it is there and as it was made."""
    try:
        file = path.open("rb")
        expected = _digest_of(path).read_text("ascii")
    except OSError:
        return None
    if hashlib.file_digest(file, "sha256").hexdigest() != expected:
        log.warning("%s is not as it was made; it is made again", path.name)
        file.close()
        return None
    os.utime(path)  # used now: the last to be evicted
    file.seek(0)
    return file


def _make(wanted: Wanted, cache: PixelCache, on_done: OnDone) -> BinaryIO:
    """Others may make the same file meanwhile: each writes its own, and whoever ends last replaces an equal one."""
    assert cache.folder is not None
    cache.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = cache.folder / wanted.name
    descriptor, name = tempfile.mkstemp(dir=cache.folder, prefix="making-")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            wanted.write(out, on_done)
        file = part.open("rb")
        _digest_of(path).write_text(hashlib.file_digest(file, "sha256").hexdigest(), "ascii")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _evict(cache.folder, cache.max_bytes)
    file.seek(0)
    return file


def _evict(folder: Path, max_bytes: int) -> None:
    """Remove what was used longest ago until the rest fits; a file in use stays readable to who holds it open."""
    held = 0
    found = [(path, path.stat()) for path in folder.glob(f"*{SUFFIX}")]
    for path, facts in sorted(found, key=lambda pair: pair[1].st_mtime, reverse=True):
        held += facts.st_size
        if held > max_bytes:
            path.unlink(missing_ok=True)
            _digest_of(path).unlink(missing_ok=True)


def _digest_of(path: Path) -> Path:
    return path.with_suffix(DIGEST_SUFFIX)
