"""P16 and P17: what a worker adds to a job, and what a killed run costs. `python -m tests.bench worker`.

P16. A job's overhead is its wall time less what the model itself takes (texts, images, choices, by run.json): starting
a sandboxed process, imports, tables and weights handed over, answers checked. The first job of a worker starts a child
of its own; the second takes the spare that was kept meanwhile. Both answer the same split, its images decoded before.

P17. A child is killed (kill -9) when its fifth part arrives; the next child gets the parts. What was done twice is what
the first had begun and not handed over: at most one batch, and the answers are those of an undisturbed run.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

from evaluator.answering.parts import Part, Resume
from evaluator.answering.settings import BATCH_SIZES
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.sandbox import AnswerJob, ChildAnswers, answer_in_child, spare
from tests.bench.releases import write_release
from tests.bench.table import Row, report
from tests.builders.weights import TINY, tiny_state, write_state

IMAGES, PX, ROUNDS, GOAL = 1_000, 64, 3, 10.0
MODEL_STAGES = ("embed texts", "embed images", "choose answers")
KILLED_AT = 5  # parts
IDLE_S = 1.0  # a spare that used no processor for so long has done its imports


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = AnswerJob(
            release=write_release(folder / "release", IMAGES, PX), split=Split.TEST, architecture=TINY,
            weights=write_state(tiny_state(), folder / "tiny.safetensors"), device=Device.CPU,
            cache=PixelCache(folder=folder / "pixels"),
        )  # fmt: skip
        answer_in_child(job)
        firsts, seconds = [], []
        for _ in range(ROUNDS):
            firsts.append(overhead_s(job))
            spare.keep(Device.CPU)
            wait_until_idle()
            seconds.append(overhead_s(job))
            spare.discard()
        ratios = sorted(first / second for first, second in zip(firsts, seconds, strict=True))
        report(Row(
            id="P16", workload="overhead of a worker's second job beside its first", ours=f"{median(seconds):.2f} s",
            loop=f"{median(firsts):.2f} s", ratio=f"{median(ratios):.1f}× ({ratios[0]:.1f}–{ratios[-1]:.1f})",
            goal=f"≥ {GOAL:g}×", met=median(ratios) >= GOAL,
        ))  # fmt: skip
        report_kill(job)


def overhead_s(job: AnswerJob) -> float:
    started = time.perf_counter()
    done = answer_in_child(job)
    return time.perf_counter() - started - sum(done.run["seconds"][stage] for stage in MODEL_STAGES)


def wait_until_idle() -> None:
    """Until the spare's processes have nothing to do: in a worker, what lies between two jobs."""
    used, since = -1.0, time.monotonic()
    while time.monotonic() - since < IDLE_S:
        found = sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))
        if found != used:
            used, since = found, time.monotonic()
        time.sleep(0.1)


def report_kill(job: AnswerJob) -> None:
    whole, parts = answer_in_child(job), killed_after(job, KILLED_AT)
    resumed = answer_in_child(job, resume=Resume(done=tuple(parts)))
    kept, batch = parts[-1].stop, BATCH_SIZES["cpu"].images
    goes_on = resumed.run["resumed_at"] == kept and same_answers(whole, resumed)
    report(Row(
        id="P17", workload=f"kill -9 after {kept} of {IMAGES} images: done twice", ours=f"≤ {batch} images",
        loop=f"{kept} images", goal=f"≤ one batch ({batch})", met=goes_on,
    ))  # fmt: skip


def killed_after(job: AnswerJob, n_parts: int) -> list[Part]:
    parts: list[Part] = []

    def keep(part: Part) -> None:
        parts.append(part)
        if len(parts) == n_parts:
            for child in psutil.Process().children(recursive=True):
                child.kill()

    try:
        answer_in_child(job, resume=Resume(on_part=keep))
    except EvaluationFailed as failed:
        if failed.code != "out_of_memory":  # what a SIGKILL from outside reads as
            raise
    return parts[:n_parts]


def same_answers(one: ChildAnswers, other: ChildAnswers) -> bool:
    return one.answers.drop(["scores"]).equals(other.answers.drop(["scores"]))


if __name__ == "__main__":
    main()
