"""Files named on the command line."""

from pathlib import Path

from evaluator.errors import InputError


def require_file(path: Path) -> None:
    """Raise InputError unless `path` is a readable file."""
    if not path.is_file():
        what = "is a folder; name a file" if path.is_dir() else "does not exist"
        raise InputError.single("no_such_file", f"{path} {what}.")
