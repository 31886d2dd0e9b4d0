"""Where an evaluation stands. In: counts; out: Progress values for a terminal line, a pipe or a log. Torch-free."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """The steps of answering, in order."""

    LOAD = "load weights"
    TEXTS = "embed texts"
    IMAGES = "embed images"
    CHOOSE = "choose answers"


STAGES = tuple(Stage)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`done` of `total` units of a stage; `per_s` units a second; `left_s` None while nothing is known."""

    stage: Stage
    done: int
    total: int
    per_s: float
    left_s: float | None

    def __str__(self) -> str:
        step = f"{STAGES.index(self.stage) + 1} of {len(STAGES)}"
        left = f", {self.left_s:.0f} s left" if self.left_s is not None else ""
        return f"{self.stage} ({step}): {self.done:,} of {self.total:,}, {self.per_s:.0f}/s{left}"


OnProgress = Callable[[Progress], None]


class StageClock:
    """Turns counts into Progress with rate and time left; keeps the seconds each stage took."""

    def __init__(self, on_progress: OnProgress | None) -> None:
        self._on_progress = on_progress
        self._stage: Stage | None = None
        self._started = 0.0
        self.seconds: dict[Stage, float] = {}

    def report(self, stage: Stage, done: int, total: int) -> None:
        """`done` of `total` units of `stage` are finished; the first report of a stage starts its clock."""
        now = time.monotonic()
        if stage is not self._stage:
            self._stage, self._started = stage, now
        self.seconds[stage] = now - self._started
        if self._on_progress is None:
            return
        per_s = done / max(now - self._started, 1e-9)
        left_s = (total - done) / per_s if done else None
        self._on_progress(Progress(stage=stage, done=done, total=total, per_s=per_s if done else 0.0, left_s=left_s))
