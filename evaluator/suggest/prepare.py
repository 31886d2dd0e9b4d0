"""One pass over a folder's images. In: ids, a recipe; out: which are new, and their crops in one file.

Every file is read and checked before any is shown to a model; all that cannot be read are named at once.
"""

import hashlib
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from evaluator.errors import EvaluationFailed, InputError, ProblemLog
from evaluator.pixels.crop import Pixels, crop
from evaluator.pixels.files import AT_ONCE, MAX_DECODERS
from evaluator.pixels.recipe import CropRecipe
from evaluator.suggest.images.develop import Developed, Recipe, develop
from evaluator.suggest.images.read import read_file, read_stored

OnDone = Callable[[int, int], None]  # done, of


@dataclass(kw_only=True)
class Prepared:
    """digests: SHA-256 of each distinct file by its id; twins: id of a file with the same bytes → the id that stands
    for it; fresh: ids whose crops were written, in their order; notes: what was changed by reading, with counts;
    beyond: share of pixels cut off at black or white per fresh image, where contrast was set."""

    digests: dict[str, str] = field(default_factory=dict)
    twins: dict[str, str] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    beyond: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read:
    """What is kept of an image, see Developed."""

    crops: Pixels
    notes: tuple[str, ...]
    beyond: float | None


def read_developed(folder: Path, name: str, recipe: Recipe) -> Developed:
    """One image of the folder as the recipe shows it. InputError as `read_file`, `read_stored` and `develop`."""
    return develop(read_stored(read_file(folder / name), Path(name).suffix), recipe)


def prepare(
    folder: Path, ids: Sequence[str], recipe: Recipe, form: CropRecipe, known: Collection[str], out: BinaryIO,
    on_done: OnDone = lambda done, of: None,
) -> Prepared:  # fmt: skip
    """Write the crops of all distinct files that are not `known` (by SHA-256) to `out`.

    Raises InputError with every file that cannot be read under the recipe; `field` is its id.
    """

    def one(name: str) -> tuple[str, _Read | None, InputError | None]:
        digest = ""
        try:
            content = read_file(folder / name)
            digest = hashlib.sha256(content).hexdigest()
            if digest in known:
                return digest, None, None
            developed = develop(read_stored(content, Path(name).suffix), recipe)
            read = _Read(crops=crop(developed.image, form), notes=developed.notes, beyond=developed.beyond)
            return digest, read, None  # without the whole image: many of these wait together
        except InputError as error:
            return digest, None, error

    prepared, log, first = Prepared(), ProblemLog(), dict[str, str]()
    with warnings.catch_warnings(), ThreadPoolExecutor(min(MAX_DECODERS, os.cpu_count() or 1)) as decoders:
        warnings.simplefilter("ignore")  # of very large images: what is too large is refused in words
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            for name, (digest, read, error) in zip(some, decoders.map(one, some), strict=True):
                if error is not None:
                    for problem in error.problems:
                        log.add(problem.code, problem.message, field=name)
                elif (twin := first.setdefault(digest, name)) != name:
                    prepared.twins[name] = twin
                else:
                    prepared.digests[name] = digest
                    if read is not None:
                        _keep(prepared, name, read, out)
            on_done(start + len(some), len(ids))
    log.raise_if_any()
    return prepared


def _keep(prepared: Prepared, name: str, read: _Read, out: BinaryIO) -> None:
    out.write(np.ascontiguousarray(read.crops).data)
    prepared.fresh.append(name)
    prepared.notes.update(read.notes)
    if read.beyond is not None:
        prepared.beyond.append(read.beyond)


@contextmanager
def pixel_file() -> Iterator[BinaryIO]:
    """A file without a name for the crops. EvaluationFailed `no_room_for_pixels` when the disk is full."""
    try:
        with tempfile.TemporaryFile(prefix="ubench-pixels-") as file:
            yield file
    except OSError as error:
        message = (f"The decoded images cannot be written to {tempfile.gettempdir()} ({error.strerror}). Make room, or "
                   "set TMPDIR to a larger disk.")  # fmt: skip
        raise EvaluationFailed("no_room_for_pixels", message, retry=True) from error
