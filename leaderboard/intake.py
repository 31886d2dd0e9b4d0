"""What can be said of a submission at the door. In: what someone wants to submit; out: every cheap problem at once.

Reads headers and names, never tensors, questions or keys.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from evaluator.architectures.registry import get_architecture
from evaluator.errors import InputError, Problem
from evaluator.release.schema import Split
from evaluator.weights import checkpoint
from evaluator.weights.adapter import is_adapter, read_adapter
from evaluator.weights.checkpoint import open_files, read_checkpoint
from evaluator.weights.header import MAX_FILE_BYTES
from evaluator.weights.shards import MAX_FILES, set_digest
from leaderboard import bases
from leaderboard.lineage import links
from leaderboard.models import Release, User
from leaderboard.models.catalogue import RESERVED_PREFIX
from leaderboard.models.submissions import SubmissionKind
from leaderboard.uploads import Received

PREDICTION_SUFFIXES = tuple(f".{kind}{packed}" for kind in ("jsonl", "csv", "parquet") for packed in ("", ".gz"))
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
MODEL_SLUG = re.compile(r"[a-z0-9]+(?:[_-]+[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class NewSubmission:
    """What someone wants to submit, as the form or the API read it."""

    release: Release
    model: str  # slug; unknown = created
    kind: SubmissionKind
    files: tuple[Received, ...]
    split: str = ""  # prediction files
    architecture: str = ""  # checkpoints
    base: str = ""  # slug of the model it was fine-tuned from; for an adapter what it stands on, see `bases`
    target: tuple[str, ...] = ()  # "facet=value"
    sha256: str = ""  # what the sender believes `digest(files)` to be
    publish: bool = False
    kept_private: bool = False  # only a base for other submissions
    idempotency_key: str | None = None

    @property
    def is_adapter(self) -> bool:
        """Whether these files change other weights."""
        return self.kind == SubmissionKind.CHECKPOINT and is_adapter(file.name for file in self.files)


def problems_with(user: User, new: NewSubmission) -> Iterator[Problem]:
    """Every problem that needs no worker to be found."""
    yield from model_problems(new.model)
    if not new.files:
        yield Problem(code="file_missing", field="file", message="Attach the file that you want to submit.")
    for file in new.files:
        yield from _file_problems(file)
    yield from _set_problems(new.files)
    if new.sha256 and new.files and new.sha256.lower() != digest(new.files):
        yield Problem(
            code="sha256_mismatch", field="sha256",
            message=f"{'The file' if len(new.files) == 1 else 'The set'} arrived with SHA-256 {digest(new.files)}, "
                    "not the one you gave: send it again.",
        )  # fmt: skip
    if new.is_adapter:
        yield from bases.problems_with(user, new.base, new.architecture)
    elif new.base:
        yield from links.base_problems(user, new.release, new.base)
    yield from links.target_problems(new.release, new.target)
    if new.kept_private and new.publish:
        message = "What is kept private as a base is never published. Leave one of the two out."
        yield Problem(code="kept_private", field="publish", message=message)
    if new.kind == SubmissionKind.CHECKPOINT:
        yield from _checkpoint_problems(new)
    elif new.kind == SubmissionKind.PREDICTIONS:
        yield from _prediction_problems(new)
    else:
        yield Problem(code="kind", field="kind", message="Submit a checkpoint or a predictions file.")


def model_problems(model: str) -> Iterator[Problem]:
    """What is wrong with a model's short name."""
    if not MODEL_SLUG.fullmatch(model) or len(model) > 80:
        message = "Name the model with up to 80 lower-case letters, digits, '-' or '_', such as my-clip-b16."
        yield Problem(code="model_name", field="model", message=message)
    if model.startswith(RESERVED_PREFIX):
        message = f"Names that start with {RESERVED_PREFIX} are the server's own: choose another."
        yield Problem(code="model_name", field="model", message=message)


def _file_problems(file: Received) -> Iterator[Problem]:
    if not FILE_NAME.fullmatch(file.name):
        message = f"The file name {file.name[:60]!r} has characters other than letters, digits, '.', '_' and '-'."
        yield Problem(code="file_name", field="file", message=message)
    if file.size == 0:
        yield Problem(code="file_empty", field="file", message=f"{file.name} is empty: send it again.")


def _set_problems(files: tuple[Received, ...]) -> Iterator[Problem]:
    if len(files) > MAX_FILES:
        message = f"These are {len(files)} files; at most {MAX_FILES} are taken. Save with larger shards."
        yield Problem(code="too_many_files", field="file", message=message)
    names = [file.name for file in files]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(code="file_twice", field="file", message=f"{name[:60]!r} was sent more than once: send it once.")
    together = sum(file.size for file in files)
    if len(files) == 1 and files[0].too_large:
        message = f"{files[0].name} is larger than this server takes."
        yield Problem(code="file_too_large", field="file", message=message)
    elif together > settings.MAX_UPLOAD_BYTES or any(file.too_large for file in files):
        message = f"The files have {together:,} bytes together; this server takes {settings.MAX_UPLOAD_BYTES:,}."
        yield Problem(code="file_too_large", field="file", message=message)


def _checkpoint_problems(new: NewSubmission) -> Iterator[Problem]:
    if not new.architecture:
        message = "Name the architecture; `python -m evaluator architectures` lists them."
        yield Problem(code="architecture_missing", field="architecture", message=message)
    else:
        yield from _raised(get_architecture, new.architecture)
    whole = all(file.size and not file.too_large for file in new.files)
    if whole and 0 < len(new.files) <= MAX_FILES:
        yield from _raised(_read_headers, new.files)


def _read_headers(files: tuple[Received, ...]) -> None:
    with open_files({file.name: file.path for file in files}) as opened:
        if is_adapter(opened):  # whether it fits its base is seen in validation
            read_adapter(opened, max_bytes=MAX_FILE_BYTES)
        else:
            read_checkpoint(opened)


def _prediction_problems(new: NewSubmission) -> Iterator[Problem]:
    open_splits = [split for split in new.release.info["splits"] if split != Split.SEALED]
    if new.split not in open_splits:
        message = f"Say which split the file answers: {' or '.join(open_splits)}."
        yield Problem(code="split", field="split", message=message)
    if len(new.files) > 1:
        yield Problem(code="one_file", field="file", message="Submit one predictions file.")
    for file in new.files:
        if not file.name.endswith(PREDICTION_SUFFIXES):
            message = f"{file.name} is none of {', '.join(PREDICTION_SUFFIXES)}: save it as one of these."
            yield Problem(code="file_kind", field="file", message=message)


def _raised(check: Callable[[Any], object], argument: Any) -> Iterator[Problem]:
    try:
        check(argument)
    except InputError as error:
        yield from error.problems


def digest(files: tuple[Received, ...]) -> str:
    """The only file's SHA-256; of several, that of their sorted names and digests (`set_digest`)."""
    return set_digest({file.name: file.sha256 for file in files})


def main_name(files: tuple[Received, ...]) -> str:
    """The name by which a submission is opened: the only file's, an index of shards', or an adapter's weights'."""
    return checkpoint.main_name(file.name for file in files)
