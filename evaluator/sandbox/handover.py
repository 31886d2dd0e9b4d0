"""Tables and parts as descriptors that nobody can write to. In: values; out: what both ends of a job agree on."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import pyarrow as pa

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
