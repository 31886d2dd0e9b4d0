"""Where an evaluation stands. In: counts; out: Progress values for a terminal line, a pipe or a log. Torch-free."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Stage(StrEnum):
    """The steps of answering, in order."""

    LOAD = "load weights"
    TEXTS = "embed texts"
    IMAGES = "embed images"
    CHOOSE = "choose answers"


STAGES = tuple(Stage)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`done` of `total` units of step `step` of `steps`; `images_per_s` only while images are embedded."""

    stage: Stage
    step: int
    steps: int
    done: int
    total: int
    images_per_s: float | None
    eta_s: float | None  # time left in this stage; None while nothing is known

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape that crosses the sandbox's pipe and is shown on pages."""
        return asdict(self)


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
        took = self.seconds[stage] = now - self._started
        if self._on_progress is None:
            return
        per_s = done / max(took, 1e-9) if done else None
        self._on_progress(Progress(
            stage=stage, step=STAGES.index(stage) + 1, steps=len(STAGES), done=done, total=total,
            images_per_s=round(per_s, 1) if per_s and stage is Stage.IMAGES else None,
            eta_s=round((total - done) / per_s, 1) if per_s else None,
        ))  # fmt: skip
