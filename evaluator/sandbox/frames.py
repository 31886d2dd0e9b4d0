"""Messages of a child to its parent over one pipe: a kind, a length, bytes. The reader trusts nothing."""

import json
import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, BinaryIO

HEAD = struct.Struct("<BQ")
MAX_PROGRESS_MESSAGES = 100_000


class Kind(IntEnum):
    """What a message holds. The last message is RESULT, REFUSED or FAILED."""

    PROGRESS = 1  # JSON
    ANSWERS = 2  # Arrow IPC stream
    EMBEDDINGS = 3  # raw float32, row by row
    RESULT = 4  # JSON: facts, or the content of run.json
    REFUSED = 5  # JSON: problems and counts of an InputError
    FAILED = 6  # JSON: code, message, retry of an EvaluationFailed


LAST = (Kind.RESULT, Kind.REFUSED, Kind.FAILED)
KIB, MIB = 1024, 1024**2
JSON_CAPS = {Kind.PROGRESS: 4 * KIB, Kind.RESULT: 16 * MIB, Kind.REFUSED: 4 * MIB, Kind.FAILED: 64 * KIB}


class BrokenFrames(Exception):
    """The child sent something that no child of ours sends."""


def write_frame(pipe: BinaryIO, kind: Kind, payload: bytes | memoryview) -> None:
    """Child side: send one message."""
    pipe.write(HEAD.pack(kind, len(payload)))
    pipe.write(payload)
    pipe.flush()


def write_json(pipe: BinaryIO, kind: Kind, content: Mapping[str, Any]) -> None:
    """Child side: send one JSON message."""
    write_frame(pipe, kind, json.dumps(content).encode())


class FrameReader:
    """Parent side: takes bytes as they come, gives whole messages. `caps`: the most bytes of one message, by kind.

    Every kind but PROGRESS may come once, so all that a child can make the parent hold is the sum of the caps.
    """

    def __init__(self, caps: Mapping[Kind, int]) -> None:
        self._caps = caps
        self._buffer = bytearray()
        self._seen: dict[Kind, int] = {}
        self.payloads: dict[Kind, bytes] = {}  # the messages that come once

    def feed(self, received: bytes) -> list[dict[str, Any]]:
        """Take what was received; returns the progress messages in it. Raises BrokenFrames."""
        self._buffer += received
        progress = []
        while len(self._buffer) >= HEAD.size:
            number, length = HEAD.unpack_from(self._buffer)
            kind = self._check(number, length)
            if len(self._buffer) < HEAD.size + length:
                break
            payload = bytes(memoryview(self._buffer)[HEAD.size : HEAD.size + length])
            del self._buffer[: HEAD.size + length]
            self._seen[kind] = self._seen.get(kind, 0) + 1
            if kind is Kind.PROGRESS:
                progress.append(read_json(payload))
            else:
                self.payloads[kind] = payload
        return progress

    def _check(self, number: int, length: int) -> Kind:
        if number not in self._caps:
            raise BrokenFrames(f"message of unknown kind {number}")
        kind = Kind(number)
        if length > self._caps[kind]:
            raise BrokenFrames(f"{kind.name} message of {length:,} bytes, at most {self._caps[kind]:,} expected")
        if self._seen.get(kind, 0) >= (MAX_PROGRESS_MESSAGES if kind is Kind.PROGRESS else 1):
            raise BrokenFrames(f"too many {kind.name} messages")
        return kind

    @property
    def last(self) -> Kind | None:
        """The message that ended the job, or None while there is none."""
        return next((kind for kind in LAST if kind in self.payloads), None)


def read_json(payload: bytes) -> dict[str, Any]:
    """The object in a JSON message. Raises BrokenFrames."""
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise BrokenFrames(f"message that is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise BrokenFrames("message that is not a JSON object")
    return content
