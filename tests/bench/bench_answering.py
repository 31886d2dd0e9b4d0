"""Answering the demo release with the tiny model, beside the loop that most evaluation scripts are: for every question
load the image, embed it, embed the question's options. `python -m tests.bench.bench_answering` prints both rates.

Start-up (imports, loading weights) is left out on both sides. The loop runs on every n-th question only.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from demo.generate.__main__ import generate
from demo.generate.plan import source_rules
from evaluator.answering.contrastive import Answered, answer
from evaluator.answering.progress import StageClock
from evaluator.answering.questions import Asked, ask
from evaluator.answering.settings import BATCH_SIZES
from evaluator.answers import Protocol
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.device import prepare_device
from evaluator.encoders.open_clip import load_encoder, match_architecture
from evaluator.encoders.registry import get_architecture
from evaluator.release.importer import import_hub
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.weights import TINY, tiny_state, write_state
from tests.evaluator.answering import slow_loop

GOAL = 10.0
IMAGES = 600
LOOPED_ROWS = 200
TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What both sides answer, and with what."""

    release: Path
    weights: Path
    asked: Asked
    files: list[str]


def main() -> None:
    """Measure both and print them beside the goal; raises when their answers differ."""
    with tempfile.TemporaryDirectory() as folder:
        setting = prepare(Path(folder))
        answered, seconds = fast(setting)
        places = np.linspace(0, setting.asked.rows.num_rows - 1, LOOPED_ROWS, dtype=int)
        scores, loop_seconds = loop(setting, places)
    difference = compare(answered, places, scores)
    n_rows = setting.asked.rows.num_rows
    rate, loop_rate = n_rows / seconds, LOOPED_ROWS / loop_seconds
    ratio = rate / loop_rate
    print(f"  {n_rows:,} questions on {len(setting.files):,} images, {len(setting.asked.texts)} texts")
    print(f"  same answers; largest difference of a score {difference:.1e} (at most {TOLERANCE:.0e})")
    print(f"  one by one   {loop_rate:10,.0f} questions/s")
    verdict = "met" if ratio >= GOAL else "MISSED"
    print(f"  evaluator    {rate:10,.0f} questions/s   {ratio:6.1f} ×   goal ≥ {GOAL:.0f} ×   {verdict}")


def prepare(folder: Path) -> Setting:
    """The test split of a demo release and a random tiny model."""
    generate(folder / "hub", n_images=IMAGES)
    import_hub(folder / "hub", folder / "release", name="Demo", version="1.0", splits={Split.TEST: 1.0},
               sources=source_rules())  # fmt: skip
    items = read_items(folder / "release", Split.TEST)
    asked = ask(items, read_questions(folder / "release", Split.TEST), Protocol.CAPTIONS)
    weights = write_state(tiny_state(), folder / "tiny.safetensors")
    return Setting(release=folder / "release", weights=weights, asked=asked, files=items["file"].to_pylist())


def fast(setting: Setting) -> tuple[Answered, float]:
    """The evaluator's answers and the seconds they took, with a warm model."""
    architecture, device = get_architecture(TINY), prepare_device(Device.CPU)
    with open_checkpoint(setting.weights) as file:
        encoder = load_encoder(
            file, match_architecture(file, architecture), architecture, device=device, precision=Precision.FP32
        )
    encoder.encode_images([torch.zeros(3, architecture.image_px, architecture.image_px)])
    items = read_items(setting.release, Split.TEST)
    started = time.perf_counter()
    answered = answer(encoder, setting.release, items, setting.asked, BATCH_SIZES["cpu"], StageClock(None))
    return answered, time.perf_counter() - started


def loop(setting: Setting, places: np.ndarray) -> tuple[list[list[float]], float]:
    """The loop's scores of the questions at `places` and the seconds they took, with a warm model."""
    loaded = slow_loop.load(setting.weights)
    rows = setting.asked.rows.take(places).to_pylist()
    images = [setting.release / setting.files[setting.asked.image_of[place]] for place in places]
    slow_loop.answer_one(*loaded, images[0], rows[0]["options"], together=True)
    started = time.perf_counter()
    scores = [
        slow_loop.answer_one(*loaded, image, row["options"], together=True)
        for image, row in zip(images, rows, strict=True)
    ]
    return scores, time.perf_counter() - started


def compare(answered: Answered, places: np.ndarray, expected: list[list[float]]) -> float:
    """The largest difference of a score; raises when it exceeds TOLERANCE or a clear choice differs."""
    found = answered.answers.take(places).to_pylist()
    largest = 0.0
    for row, scores in zip(found, expected, strict=True):
        largest = max(largest, float(np.abs(np.subtract(row["scores"], scores)).max()))
        second, first = np.sort(scores)[-2:]
        if largest > TOLERANCE or (first - second > TOLERANCE and row["chosen"] != int(np.argmax(scores))):
            raise AssertionError(f"{row} differs from {scores}")
    return largest


if __name__ == "__main__":
    main()
