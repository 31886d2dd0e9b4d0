"""Which files of a folder are images. In: a folder; out: their ids, and what was left out and why.

An id is the path from the folder, with / between names. Nothing outside the folder is read.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import InputError, ProblemLog
from evaluator.suggest.images.read import SUFFIXES

MAX_IMAGES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Folder:
    """ids: of the images, in the order of their characters. The others are paths that were left out."""

    path: Path
    ids: tuple[str, ...]
    hidden: tuple[str, ...]
    outside: tuple[str, ...]  # links that lead out of the folder, and linked folders
    others: tuple[str, ...]  # no PNG, JPEG or TIFF by their name, or no files (pipes, devices)

    def notes(self) -> list[str]:
        """What was left out, a sentence each."""
        kinds = Counter(Path(name).suffix.lower() or "no suffix" for name in self.others)
        by_kind = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(8))
        found = []
        if self.others:
            found.append(f"{_files(self.others)} no PNG, JPEG or TIFF by name and left out ({by_kind})")
        if self.hidden:
            found.append(f"{_files(self.hidden)} hidden (a name that begins with a dot) and left out")
        if self.outside:
            found.append(f"{len(self.outside):,} links to folders or out of {self.path.name} left out: "
                         f"{', '.join(self.outside[:3])}{' …' if len(self.outside) > 3 else ''}")  # fmt: skip
        return found


def list_images(path: Path) -> Folder:
    """Every image under `path`, at any depth.

    Raises InputError `no_such_folder`, `folder_unreadable`, `no_images`, `name_not_text`, `too_many_images`.
    """
    if not path.is_dir():
        what = "is a file; name the folder that holds it" if path.exists() else "does not exist"
        raise InputError.single("no_such_folder", f"{path} {what}.", field="images")
    root, log = path.resolve(), ProblemLog()
    ids, hidden, outside, others = [], [], [], []
    for name, file in _walk(root):
        if not _is_text(name):
            shown = name.encode("utf-8", "replace").decode()
            log.add("name_not_text", "Its name is no UTF-8, or has a control character. Rename it.", field=shown)
        elif any(part.startswith(".") for part in name.split("/")):
            hidden.append(name)
        elif file.is_dir() or not file.resolve().is_relative_to(root):
            outside.append(name)
        elif Path(name).suffix.lower() not in SUFFIXES or (file.exists() and not file.is_file()):
            others.append(name)
        else:
            ids.append(name)
    log.raise_if_any()
    if not ids:
        left_out = f" ({len(hidden) + len(outside) + len(others):,} other files are there)" if hidden + others else ""
        message = f"There is no PNG, JPEG or TIFF in {path}{left_out}. Name the folder that holds the images."
        raise InputError.single("no_images", message, field="images")
    if len(ids) > MAX_IMAGES:
        message = f"There are {len(ids):,} images in {path}, at most {MAX_IMAGES:,} at once. Name a smaller folder."
        raise InputError.single("too_many_images", message, field="images")
    return Folder(
        path=path, ids=tuple(sorted(ids)), hidden=tuple(sorted(hidden)), outside=tuple(sorted(outside)),
        others=tuple(sorted(others)),
    )  # fmt: skip


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Every file, and every link to a folder, which is not followed: it may lead round in a circle."""
    for folder, folders, files in os.walk(root, onerror=_refuse):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        for name in [*files, *links]:
            found = Path(folder, name)
            yield found.relative_to(root).as_posix(), found


def _refuse(error: OSError) -> None:
    """A folder that cannot be looked into may hold images."""
    message = f"{error.filename} cannot be opened ({error.strerror}). Allow reading it, or take it out of the folder."
    raise InputError.single("folder_unreadable", message, field="images") from error


def _is_text(name: str) -> bool:
    return all(unicodedata.category(character) not in ("Cc", "Cs") for character in name)


def _files(names: tuple[str, ...]) -> str:
    return f"{len(names):,} files are" if len(names) != 1 else "1 file is"
