"""Where an evaluation stands. In: counts; out: Progress values for a terminal line, a pipe or a log. Torch-free."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from evaluator.architectures.architecture import Family


class Stage(StrEnum):
    """The steps of answering."""

    PIXELS = "prepare images"
    LOAD = "load weights"
    TEXTS = "embed texts"
    IMAGES = "embed images"
    CHOOSE = "choose answers"
    REPLIES = "answer questions"
    BOXES = "draw boxes"
    SWEEP = "answer at every alpha"


STAGES = {
    Family.CONTRASTIVE: (Stage.PIXELS, Stage.LOAD, Stage.TEXTS, Stage.IMAGES, Stage.CHOOSE),
    Family.GENERATIVE: (Stage.PIXELS, Stage.LOAD, Stage.REPLIES),
    Family.DETECTOR: (Stage.PIXELS, Stage.LOAD, Stage.BOXES),
}
SWEEP_STAGES = (Stage.PIXELS, Stage.LOAD, Stage.SWEEP)  # of a sweep, whatever the family
# The stage that goes through the images: its speed is the model's.
MAIN_STAGE = {Family.CONTRASTIVE: Stage.IMAGES, Family.GENERATIVE: Stage.REPLIES, Family.DETECTOR: Stage.BOXES}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`done` of `total` units of step `step` of `steps`; `images_per_s` only while the model sees images."""

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
    """Turns counts into Progress with rate and time left; keeps what each stage took and did."""

    def __init__(self, family: Family, on_progress: OnProgress | None = None, *, sweep: bool = False) -> None:
        self._stages = SWEEP_STAGES if sweep else STAGES[family]
        self._main = Stage.SWEEP if sweep else MAIN_STAGE[family]
        self._on_progress = on_progress
        self._stage: Stage | None = None
        self._started = 0.0
        self._first = 0
        self.seconds: dict[Stage, float] = {}
        self._done: dict[Stage, int] = {}

    def report(self, stage: Stage, done: int, total: int) -> None:
        """`done` of `total` units of `stage` are finished; the first report of a stage starts its clock, and what was
        done by then (by an earlier run) does not count for its speed."""
        now = time.monotonic()
        if stage is not self._stage:
            self._stage, self._started, self._first = stage, now, done
        took = self.seconds[stage] = now - self._started
        new = self._done[stage] = done - self._first
        if self._on_progress is None:
            return
        steps = self._stages
        per_s = new / max(took, 1e-9) if new else None
        self._on_progress(Progress(
            stage=stage, step=steps.index(stage) + 1, steps=len(steps), done=done, total=total,
            images_per_s=round(per_s, 1) if per_s and stage is self._main else None,
            eta_s=round((total - done) / per_s, 1) if per_s else None,
        ))  # fmt: skip

    @property
    def images_per_s(self) -> float | None:
        """The speed of the stage that went through the images; None where all were done before."""
        done = self._done.get(self._main, 0)
        return round(done / max(self.seconds[self._main], 1e-9), 1) if done else None
