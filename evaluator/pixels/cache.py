"""Pixel files kept for the next model. In: a split and a form; out: an open file that is whole and unchanged.

A file's name is what it holds: the release's content hash, the split, its files and the form. Its SHA-256 stands beside
it and is checked before each use, because a process that saw the file may have been a stranger's. A cache that cannot
be used costs time, never an evaluation.
"""

import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import PIL

from evaluator.errors import EvaluationFailed
from evaluator.pixels.files import (
    crop_bytes,
    pack_blank,
    pack_images,
    packed_blank_bytes,
    packed_bytes,
    write_blank_crop,
    write_crops,
)
from evaluator.pixels.recipe import CropRecipe
from evaluator.release.schema import Split

log = logging.getLogger(__name__)

GIB = 1024**3
PACKED = "packed"
SUFFIX, DIGEST_SUFFIX, MAKING = ".pixels", ".sha256", "making-"

OnDone = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class PixelCache:
    """Where pixel files are kept, and how many bytes of them at most. `folder` None: nothing is kept."""

    folder: Path | None = None
    max_bytes: int = 16 * GIB


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The images of a split, in order, as crops by the recipe `form`, or packed whole when it is None. `blank`: in
    place of each the grey image of evaluator.pixels.blank."""

    release: Path
    release_hash: str
    split: Split
    files: Sequence[str]
    form: CropRecipe | None
    blank: bool = False

    @property
    def name(self) -> str:
        """Equal for equal content, wherever the release lies. Another Pillow may decode or resize otherwise."""
        form = PACKED if self.form is None else f"{self.form.key} pillow {PIL.__version__}"
        if self.blank:
            form += " blank"
        facts = "\0".join([self.release_hash, self.split, form, *self.files])
        return f"{hashlib.sha256(facts.encode()).hexdigest()}{SUFFIX}"

    def n_bytes(self) -> int:
        """The size of the file. Raises EvaluationFailed `unreadable_image` for a missing image that is to be packed."""
        n = len(self.files)
        if self.form is not None:
            return crop_bytes(1 if self.blank else n, self.form)
        return packed_blank_bytes(n) if self.blank else packed_bytes(self.release, self.files)

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

    `on_done` hears how many images are done. Raises EvaluationFailed `unreadable_image`, and `no_room_for_pixels` when
    neither the cache nor the folder for temporary files takes them.
    """
    with _kept(wanted, cache, on_done) or _temporary(wanted, on_done) as file:
        on_done(len(wanted.files))
        yield file


def _kept(wanted: Wanted, cache: PixelCache, on_done: OnDone) -> BinaryIO | None:
    """The file in the cache, found or made; None when there is no cache or it cannot be used."""
    if cache.folder is None:
        return None
    try:
        found = _unchanged(cache.folder / wanted.name)
        if found is None and wanted.n_bytes() <= cache.max_bytes:
            found = _make(wanted, cache.folder, cache.max_bytes, on_done)
    except OSError as error:  # images that cannot be read are an EvaluationFailed
        log.warning("the pixel cache %s cannot be used (%s); nothing is kept", cache.folder, error.strerror)
        return None
    return found


def _temporary(wanted: Wanted, on_done: OnDone) -> BinaryIO:
    """A file without a name: it is gone when it is closed, however this process ends."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="ubench-pixels-")
        with os.fdopen(descriptor, "wb") as out:
            file = Path(name).open("rb")
            Path(name).unlink()
            try:
                wanted.write(out, on_done)
                out.flush()
            except BaseException:
                file.close()
                raise
    except OSError as error:
        message = (f"The decoded images ({wanted.n_bytes() / 1e9:.1f} GB) cannot be written to {tempfile.gettempdir()} "
                   f"({error.strerror}). Make room, or set TMPDIR or the pixel cache to a larger disk.")  # fmt: skip
        raise EvaluationFailed("no_room_for_pixels", message, retry=True) from error
    return file


def _unchanged(path: Path) -> BinaryIO | None:
    """The file, open at its start, if it is there and as it was made."""
    try:
        expected = _digest_of(path).read_text("ascii", errors="replace")
        file = path.open("rb")
    except FileNotFoundError:
        return None
    if hashlib.file_digest(file, "sha256").hexdigest() != expected:
        log.warning("%s is not as it was made; it is made again", path.name)
        file.close()
        return None
    with suppress(OSError):  # a cache that is only read may belong to someone else
        os.utime(path)  # used now: the last to be evicted
    file.seek(0)
    return file


def _make(wanted: Wanted, folder: Path, max_bytes: int, on_done: OnDone) -> BinaryIO:
    """Others may make the same file meanwhile: each writes its own, and whoever ends last replaces an equal one."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / wanted.name
    _make_room(folder, max_bytes - wanted.n_bytes())
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=MAKING)
    part, digest = Path(name), Path(f"{name}{DIGEST_SUFFIX}")
    with os.fdopen(descriptor, "wb") as out:
        fcntl.flock(out, fcntl.LOCK_EX)  # held until this process ends: see `_is_abandoned`
        try:
            wanted.write(out, on_done)
            out.flush()
            file = part.open("rb")
            digest.write_text(hashlib.file_digest(file, "sha256").hexdigest(), "ascii")
            digest.replace(_digest_of(path))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
            digest.unlink(missing_ok=True)
    _make_room(folder, max_bytes)
    file.seek(0)
    return file


def _make_room(folder: Path, max_bytes: int) -> None:
    """Remove what killed processes left, then what was used longest ago until the rest has at most `max_bytes`.

    A file in use stays readable to who holds it open.
    """
    held, found = 0, []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another process removed it first
            if path.name.startswith(MAKING):
                if path.suffix == DIGEST_SUFFIX:
                    continue
                if _is_abandoned(path):
                    path.unlink()
                    path.with_name(path.name + DIGEST_SUFFIX).unlink(missing_ok=True)
                else:
                    held += path.stat().st_size
            elif path.suffix == SUFFIX:
                found.append((path.stat(), path))
    for facts, path in sorted(found, key=lambda pair: pair[0].st_mtime_ns, reverse=True):
        held += facts.st_size
        if held > max_bytes:
            path.unlink(missing_ok=True)
            _digest_of(path).unlink(missing_ok=True)


def _is_abandoned(part: Path) -> bool:
    """Whether the process that was making this file ended: its lock went with it."""
    with part.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _digest_of(path: Path) -> Path:
    return path.with_suffix(DIGEST_SUFFIX)
