"""How a child gets its one job: a JSON text and open files over a socket. Both sides use it."""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

HEAD = struct.Struct("<Q")
MAX_FILES = 253  # what the kernel takes in one message


def send_job(channel: socket.socket, spec: Mapping[str, Any], files: Mapping[str, int]) -> None:
    """Parent side: hand over `spec` and open descriptors by name; the caller keeps its own."""
    content = json.dumps({**spec, "files": list(files)}).encode()
    socket.send_fds(channel, [HEAD.pack(len(content))], list(files.values()))
    channel.sendall(content)


def receive_job(channel: socket.socket) -> tuple[dict[str, Any], dict[str, int]] | None:
    """Child side: wait for the job; its descriptors by name. None when the parent went away without one."""
    head, descriptors, _, _ = socket.recv_fds(channel, HEAD.size, MAX_FILES)
    if not head:
        return None
    (length,) = HEAD.unpack(head)
    with channel.makefile("rb", buffering=0) as stream:
        content = bytearray()
        while len(content) < length:
            received = stream.read(length - len(content))
            if not received:
                return None
            content += received
    spec = json.loads(content)
    return spec, dict(zip(spec.pop("files"), descriptors, strict=True))
