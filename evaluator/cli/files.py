"""Files named on the command line."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from evaluator.answers import Protocol
from evaluator.errors import InputError
from evaluator.scoring import canonical_json


def require_file(path: Path) -> None:
    """Raise InputError unless `path` is a readable file."""
    if not path.is_file():
        what = "is a folder; name a file" if path.is_dir() else "does not exist"
        raise InputError.single("no_such_file", f"{path} {what}.")


def read_protocol(answers: Path) -> Protocol:
    """As the run beside the answers says; answers without one were made elsewhere."""
    beside = answers.with_name("run.json")
    if not beside.exists():
        return Protocol.SELF_REPORTED
    try:
        return Protocol(json.loads(beside.read_text("utf-8"))["protocol"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError.single("run_unreadable", f"{beside} does not name a protocol: {error}.") from error


def write_document(document: dict[str, Any], path: Path) -> None:
    """Write a document in its one byte form; nobody ever sees half of it. InputError where it cannot be written."""
    partial = path.with_name(path.name + ".part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(canonical_json(document))
            partial.replace(path)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whatever keeps `path` from being written in the block becomes an InputError, `cannot_write`."""
    try:
        yield
    except OSError as error:
        raise InputError.single("cannot_write", f"{path} cannot be written ({error}). Name another place.") from error
