"""A checkpoint: one safetensors file, or shards with their index. In: open files or a path; out: a Checkpoint.

Standard library only. Works on descriptors: a sandboxed child holds the files open but may not open them by name, and
what was hashed is what gets loaded.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path

from evaluator.errors import InputError, Problem
from evaluator.weights.header import MAX_FILE_BYTES, MAX_TENSORS, Header, Tensor, read_open_header
from evaluator.weights.shards import (
    MAX_FILES,
    SHARD_SUFFIX,
    is_index,
    read_index,
    set_digest,
    set_problems,
    tensor_problems,
)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Valid open files by name, the index of shards among them; `headers` has those that hold tensors."""

    files: Mapping[str, BufferedReader]
    headers: Mapping[str, Header]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors; the offsets of each count within its own file."""
        return {name: tensor for header in self.headers.values() for name, tensor in header.tensors.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tensor.shape for name, tensor in self.tensors.items()}

    @property
    def file_bytes(self) -> int:
        """Bytes of all files."""
        return sum(os.fstat(file.fileno()).st_size for file in self.files.values())

    def sha256(self) -> str:
        """SHA-256 in hex, see `set_digest`; reads everything."""
        return set_digest({name: _sha256_of(file) for name, file in self.files.items()})


def _sha256_of(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def read_checkpoint(files: Mapping[str, BufferedReader], *, max_bytes: int = MAX_FILE_BYTES) -> Checkpoint:
    """Read the headers of open files (by name, in any order) and check that they make one checkpoint.

    A single file may have any name, but that of an index. Raises InputError with every problem of the set and of each
    shard, the shard named in the sentence.
    """
    if len(files) == 1 and not any(is_index(name) for name in files):
        [(name, file)] = files.items()
        return Checkpoint(files=files, headers={name: read_open_header(file, max_file_bytes=max_bytes)})
    problems = _name_problems(files)
    n_bytes = sum(os.fstat(file.fileno()).st_size for file in files.values())
    if n_bytes > max_bytes:
        message = (f"The files have {n_bytes:,} bytes together; at most {max_bytes:,} are accepted. "
                   "Store the weights in half precision or leave out what the model does not need.")  # fmt: skip
        problems.append(Problem(code="file_too_large", message=message, field="file"))
    if problems:
        raise InputError(problems)
    return _read_shards(files, max_bytes)


@contextmanager
def open_files(paths: Mapping[str, Path]) -> Iterator[dict[str, BufferedReader]]:
    """The files, open for as long as the block runs."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(path.open("rb")) for name, path in paths.items()}


def checkpoint_paths(path: Path) -> dict[str, Path]:
    """The files of a checkpoint by name: `path` alone, or the index there and those of its shards that exist."""
    paths = {path.name: path}
    if is_index(path.name):
        with path.open("rb") as file:
            shards = sorted(set(read_index(file).values()))
        paths |= {shard: path.parent / shard for shard in shards if (path.parent / shard).is_file()}
    return paths


@contextmanager
def open_checkpoint(path: Path) -> Iterator[Checkpoint]:
    """The checkpoint at `path` (a safetensors file, or an index beside its shards), checked and open."""
    with open_files(checkpoint_paths(path)) as files:
        yield read_checkpoint(files)


def _name_problems(files: Mapping[str, BufferedReader]) -> list[Problem]:
    problems = []
    if len(files) > MAX_FILES:
        message = f"These are {len(files):,} files; a checkpoint has at most {MAX_FILES}. Save with larger shards."
        problems.append(Problem(code="too_many_files", message=message, field="file"))
    indexes = [name for name in files if is_index(name)]
    strange = [name for name in files if name not in indexes and not name.endswith(SHARD_SUFFIX)]
    if strange:
        message = (f"{', '.join(strange[:5])}: a checkpoint is one .safetensors file, or .safetensors shards with "
                   "their .safetensors.index.json. Leave other files out.")  # fmt: skip
        problems.append(Problem(code="file_kind", message=message, field="file"))
    if not indexes:
        message = ("Several files need the index that says which tensor is where: send model.safetensors.index.json "
                   "too, or one .safetensors file.")  # fmt: skip
        problems.append(Problem(code="index_missing", message=message, field="file"))
    elif len(indexes) > 1:
        message = f"There is more than one index: {', '.join(sorted(indexes)[:5])}. Send the one of these shards."
        problems.append(Problem(code="two_indexes", message=message, field="file"))
    return problems


def _read_shards(files: Mapping[str, BufferedReader], max_bytes: int) -> Checkpoint:
    index_name = next(name for name in files if is_index(name))
    shards = {name: file for name, file in sorted(files.items()) if name != index_name}
    index: dict[str, str] | None = None
    problems: list[Problem] = []
    headers: dict[str, Header] = {}
    n_tensors = 0
    try:
        index = read_index(files[index_name])
    except InputError as error:
        problems += error.problems
    for name, file in shards.items():
        try:
            headers[name] = read_open_header(file, max_file_bytes=max_bytes)
        except InputError as error:
            problems += [replace(problem, message=f"{name}: {problem.message}") for problem in error.problems]
            continue
        n_tensors += len(headers[name].tensors)
        if n_tensors > MAX_TENSORS:  # reading on would cost whatever was sent
            message = f"The shards list more than the {MAX_TENSORS:,} tensors that are allowed."
            raise InputError([*problems, Problem(code="too_many_tensors", message=message, field="file")])
    if index is not None:
        problems += set_problems(index, shards) + tensor_problems(index, headers)
    if problems:
        raise InputError(problems)
    return Checkpoint(files=files, headers=headers)
