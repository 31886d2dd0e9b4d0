"""Weights, tables and parts as descriptors. In: paths, values; out: what both ends of a job agree on.

Tables and parts are in memory, and nobody can write to them.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa

from evaluator.weights.checkpoint import checkpoint_paths, open_files

SEALS = fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL


@contextmanager
def sealed(contents: Mapping[str, bytes | memoryview]) -> Iterator[dict[str, int]]:
    """Each content as a descriptor by its name, in memory and sealed, for as long as the block runs."""
    with ExitStack() as stack:
        found = {}
        for name, content in contents.items():
            descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            stack.callback(os.close, descriptor)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(content)
            os.lseek(descriptor, 0, os.SEEK_SET)
            fcntl.fcntl(descriptor, *SEALS)
            found[name] = descriptor
        yield found


def as_stream(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def from_stream(descriptor: int) -> pa.Table:
    """The inverse of `as_stream`, from an open descriptor, which is closed."""
    with os.fdopen(descriptor, "rb") as file, pa.ipc.open_stream(file.read()) as reader:
        return reader.read_all()


def weights_paths(weights: Path, base: Path | None, under: str = "") -> dict[str, Path]:
    """The files of a checkpoint, and of the base of an adapter, by the names under which a child finds them. `under`
    tells several checkpoints of one job apart."""
    own = {f"{under}weights/{name}": path for name, path in checkpoint_paths(weights).items()}
    return own | {f"{under}base/{name}": path for name, path in (checkpoint_paths(base) if base else {}).items()}


@contextmanager
def descriptors(paths: Mapping[str, Path]) -> Iterator[dict[str, int]]:
    """The files' descriptors by name, open for as long as the block runs."""
    with open_files(paths) as files:
        yield {name: file.fileno() for name, file in files.items()}


def bytes_of(paths: Mapping[str, Path]) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in paths.values())
