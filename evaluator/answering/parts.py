"""Work that a killed run leaves behind. In: parts as they are made; out: where the next run goes on. Torch-free.

A part is what one batch of items gave: embeddings of a contrastive model, answers of the others. It is opaque to who
keeps it: a part comes from a process that read a stranger's weights, and goes back only to one that reads the same.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the items `start` to `stop` (their places in the items table) gave."""

    start: int
    stop: int
    content: bytes


def _forget(part: Part) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Resume:
    """`done`: parts of an earlier run of the same fingerprint, without gaps. `on_part` keeps each new one."""

    done: tuple[Part, ...] = ()
    on_part: Callable[[Part], None] = field(default=_forget)

    @property
    def start(self) -> int:
        """The first item that is still to be done."""
        return self.done[-1].stop if self.done else 0


def without_gaps(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts that follow one another from item 0; what lies behind a gap or overlaps is left out."""
    found: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.start, -part.stop)):
        if part.start == (found[-1].stop if found else 0) < part.stop:
            found.append(part)
    return tuple(found)
