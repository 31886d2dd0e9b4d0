"""Messages of a child to its parent over one pipe: a kind, a length, bytes. The reader trusts nothing."""

import json
import struct
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, BinaryIO

from evaluator.answering.parts import Part

HEAD = struct.Struct("<BQ")
PART_HEAD = struct.Struct("<qq")  # the first item of a part, and the one behind its last
MOST = 100_000  # progress messages, and parts


class Kind(IntEnum):
    """What a message holds. The last message is RESULT, REFUSED or FAILED."""

    PROGRESS = 1  # JSON
    ANSWERS = 2  # Arrow IPC stream
    EMBEDDINGS = 3  # raw float32, row by row
    RESULT = 4  # JSON: facts, or the content of run.json
    REFUSED = 5  # JSON: problems and counts of an InputError
    FAILED = 6  # JSON: code, message, retry of an EvaluationFailed
    PART = 7  # PART_HEAD, then what these items gave: kept unread, for the next child of the same job


REPEATED = (Kind.PROGRESS, Kind.PART)
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


def write_part(pipe: BinaryIO, part: Part) -> None:
    """Child side: send one part."""
    write_frame(pipe, Kind.PART, PART_HEAD.pack(part.start, part.stop) + part.content)


def read_part(payload: bytes, *, start: int, items: int) -> Part:
    """The part in a message, which must go on at `start` and end within `items`. Raises BrokenFrames."""
    if len(payload) < PART_HEAD.size:
        raise BrokenFrames("a part without its place")
    part = Part(
        start=PART_HEAD.unpack_from(payload)[0], stop=PART_HEAD.unpack_from(payload)[1],
        content=payload[PART_HEAD.size :],
    )  # fmt: skip
    if not start == part.start < part.stop <= items:
        raise BrokenFrames(f"a part of items {part.start} to {part.stop}, after {start} of {items}")
    return part


def pack_parts(parts: Iterable[Part]) -> bytes:
    """Parent side: parts of an earlier child for the next one, as PART messages."""
    return b"".join(
        HEAD.pack(Kind.PART, PART_HEAD.size + len(part.content)) + PART_HEAD.pack(part.start, part.stop) + part.content
        for part in parts
    )


def unpack_parts(content: bytes, items: int) -> tuple[Part, ...]:
    """Child side: what `pack_parts` packed. Raises BrokenFrames."""
    found: list[Part] = []
    for _, payload in FrameReader({Kind.PART: len(content)}).feed(content):
        found.append(read_part(payload, start=found[-1].stop if found else 0, items=items))
    return tuple(found)


def write_json(pipe: BinaryIO, kind: Kind, content: Mapping[str, Any]) -> None:
    """Child side: send one JSON message."""
    write_frame(pipe, kind, json.dumps(content).encode())


class FrameReader:
    """Parent side: takes bytes as they come, gives whole messages. `caps`: the most bytes by kind, of one progress
    message, of all parts together, and of each message that may come once.

    So all that a child can make the parent hold is the sum of the caps.
    """

    def __init__(self, caps: Mapping[Kind, int]) -> None:
        self._caps = caps
        self._buffer = bytearray()
        self._seen: dict[Kind, int] = {}
        self._part_bytes = 0
        self.payloads: dict[Kind, bytes] = {}  # the messages that come once

    def feed(self, received: bytes) -> list[tuple[Kind, bytes]]:
        """Take what was received; returns the progress messages and parts in it. Raises BrokenFrames."""
        self._buffer += received
        repeated = []
        while len(self._buffer) >= HEAD.size:
            number, length = HEAD.unpack_from(self._buffer)
            kind = self._check(number, length)
            if len(self._buffer) < HEAD.size + length:
                break
            payload = bytes(memoryview(self._buffer)[HEAD.size : HEAD.size + length])
            del self._buffer[: HEAD.size + length]
            self._seen[kind] = self._seen.get(kind, 0) + 1
            if kind in REPEATED:
                self._part_bytes += length if kind is Kind.PART else 0
                repeated.append((kind, payload))
            else:
                self.payloads[kind] = payload
        return repeated

    def _check(self, number: int, length: int) -> Kind:
        if number not in self._caps:
            raise BrokenFrames(f"message of unknown kind {number}")
        kind = Kind(number)
        if length > self._caps[kind] - (self._part_bytes if kind is Kind.PART else 0):
            raise BrokenFrames(f"{kind.name} message of {length:,} bytes, at most {self._caps[kind]:,} expected")
        if self._seen.get(kind, 0) >= (MOST if kind in REPEATED else 1):
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
