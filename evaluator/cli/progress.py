"""One line of progress on a terminal; silent anywhere else."""

import sys
import time
from types import TracebackType

REDRAW_S = 0.1


class ProgressLine:
    """Shows what is being done, how far it is and how fast; the line is wiped at the end."""

    def __init__(self) -> None:
        self._visible = sys.stderr.isatty()
        self._stage = ""
        self._started = self._drawn = 0.0

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._visible and self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def show(self, stage: str, done: int, total: int | None = None) -> None:
        """`done` of `total` (None: not known) units of `stage` are finished."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._started = stage, now
        if not self._visible or now - self._drawn < REDRAW_S:
            return
        self._drawn = now
        text = f"{stage}: {done}" if total is None else f"{stage}: {done} of {total}"
        if now - self._started > REDRAW_S and done:
            rate = done / (now - self._started)
            left = "" if total is None else f", {(total - done) / rate:.0f} s left"
            text = f"{text} ({rate:.0f}/s{left})"
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
