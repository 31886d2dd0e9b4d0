"""A checkpoint: one safetensors file, shards with their index, or an adapter on either. In: files; out: a Checkpoint.

Standard library only. Works on descriptors: a sandboxed child holds the files open but may not open them by name, and
what was hashed is what gets loaded.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any

from evaluator.errors import InputError, Problem
from evaluator.weights.adapter import WEIGHTS_NAME, Adapter, is_adapter, read_adapter
from evaluator.weights.adapter_config import CONFIG_NAME
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

BASE = "base"  # how the digest of an adapted checkpoint names its base


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Valid open files by name, the index of shards among them; `headers` has those that hold tensors.

    With an adapter, files and headers are the base's: names and shapes of the tensors stay, some values change.
    """

    files: Mapping[str, BufferedReader]
    headers: Mapping[str, Header]
    adapter: Adapter | None = None

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
        own = sum(os.fstat(file.fileno()).st_size for file in self.files.values())
        return own + (self.adapter.file_bytes if self.adapter else 0)

    def sha256(self) -> str:
        """SHA-256 in hex, see `set_digest`; reads everything. With an adapter, the set is the adapter's files and the
        base as one file named `base`."""
        if self.adapter is None:
            return self._files_sha256
        digests = {name: _sha256_of(file) for name, file in self.adapter.files.items()}
        return set_digest(digests | {BASE: self._files_sha256})

    def adapter_facts(self) -> dict[str, Any]:
        """What to record of an adapter: how it changes its base, and which that is; nothing where there is none."""
        if self.adapter is None:
            return {}
        base = {"name": main_name(self.files), "sha256": self._files_sha256}
        return {"base": base, "adapter": self.adapter.facts()}

    @cached_property
    def _files_sha256(self) -> str:
        return set_digest({name: _sha256_of(file) for name, file in self.files.items()})


def _sha256_of(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def read_checkpoint(
    files: Mapping[str, BufferedReader],
    *,
    max_bytes: int = MAX_FILE_BYTES,
    base: Mapping[str, BufferedReader] | None = None,
) -> Checkpoint:
    """Read the headers of open files (by name, in any order) and check that they make one checkpoint.

    A single file may have any name, but that of an index or of an adapter. base: the files that an adapter stands on,
    for an adapter only. Raises InputError with every problem of the set and of each shard, the shard named in the
    sentence.
    """
    if is_adapter(files):
        adapter = read_adapter(files, max_bytes=max_bytes)
        return replace(_read_base(base, max_bytes), adapter=adapter)
    if base:
        message = f"A base belongs to an adapter ({WEIGHTS_NAME}); these weights stand alone. Leave the base out."
        raise InputError.single("base_not_needed", message, field="base")
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


def _read_base(files: Mapping[str, BufferedReader] | None, max_bytes: int) -> Checkpoint:
    if not files:
        message = "An adapter changes other weights: name the base that it was trained on."
        raise InputError.single("base_missing", message, field="base")
    if is_adapter(files):
        message = "The base is an adapter itself. Merge the two on your own machine, or name whole weights."
        raise InputError.single("base_is_adapter", message, field="base")
    try:
        return read_checkpoint(files, max_bytes=max_bytes)
    except InputError as error:
        raise InputError([replace(problem, field="base") for problem in error.problems], error.counts) from None


def main_name(names: Iterable[str]) -> str:
    """The name by which files are opened: the only one's, that of the index of shards, or of an adapter's weights."""
    names = list(names)
    main = next((name for name in names if is_index(name) or name == WEIGHTS_NAME), None)
    return main or names[0]


@contextmanager
def open_files(paths: Mapping[str, Path]) -> Iterator[dict[str, BufferedReader]]:
    """The files, open for as long as the block runs."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(path.open("rb")) for name, path in paths.items()}


def checkpoint_paths(path: Path) -> dict[str, Path]:
    """The files of a checkpoint by name: `path` alone, or what belongs beside it: the shards of an index and the config
    of an adapter, as far as they exist."""
    paths = {path.name: path}
    beside: Iterable[str] = ()
    if is_index(path.name):
        with path.open("rb") as file:
            beside = sorted(set(read_index(file).values()))
    elif path.name == WEIGHTS_NAME:
        beside = [CONFIG_NAME]
    return paths | {name: path.parent / name for name in beside if (path.parent / name).is_file()}


@contextmanager
def open_checkpoint(path: Path, base: Path | None = None) -> Iterator[Checkpoint]:
    """The checkpoint at `path` (a safetensors file, an index beside its shards, or adapter_model.safetensors beside its
    config, with `base`), checked and open."""
    with open_files(checkpoint_paths(path)) as files, open_files(checkpoint_paths(base) if base else {}) as base_files:
        yield read_checkpoint(files, base=base_files)


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
