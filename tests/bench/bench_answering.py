"""Answering the demo release with the tiny model, beside the loop that most evaluation scripts are: for every question
load the image, embed it, embed the question's options. `python -m tests.bench answering`.

Start-up (imports, loading weights) is left out on both sides; decoding and cropping are not, and no cache is kept. The
loop runs on every n-th question only; its time is scaled up to all of them. Rounds alternate; medians count.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from demo.generate.__main__ import generate
from demo.generate.plan import source_rules
from evaluator.answering.answered import Answered
from evaluator.answering.families import contrastive
from evaluator.answering.material import open_material
from evaluator.answering.parts import Resume
from evaluator.answering.progress import StageClock
from evaluator.answering.questions import Asked, ask
from evaluator.answering.settings import BATCH_SIZES
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Family
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.device import prepare_device
from evaluator.encoders.loading import load_model, match_architecture
from evaluator.encoders.open_clip import OpenClipEncoder
from evaluator.pixels.cache import PixelCache
from evaluator.release.importer import import_hub
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.bench.table import compare
from tests.builders.weights import TINY, tiny_state, write_state
from tests.evaluator.answering import slow_loop

GOAL = 10.0
IMAGES = 600
LOOPED_ROWS = 200
TOLERANCE = 1e-5
ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What both sides answer, and with what."""

    release: Path
    weights: Path
    asked: Asked
    files: list[str]


def main() -> None:
    """Measure both and report them; raises when their answers differ."""
    with tempfile.TemporaryDirectory() as folder:
        setting = prepare(Path(folder))
        n_rows = setting.asked.rows.num_rows
        places = np.linspace(0, n_rows - 1, LOOPED_ROWS, dtype=int)
        encoder, loaded = load(setting), slow_loop.load(setting.weights)
        difference = check(fast(setting, encoder), places, loop(setting, loaded, places))
        print(
            f"  {n_rows:,} questions, {len(setting.asked.texts)} texts; largest difference of a score {difference:.1e}"
        )
        compare(
            lambda: fast(setting, encoder), lambda: loop(setting, loaded, places), ROUNDS, scale=n_rows / LOOPED_ROWS
        ).report("answers", f"{n_rows:,} questions on {len(setting.files)} demo images / one by one", GOAL)


def prepare(folder: Path) -> Setting:
    """The test split of a demo release and a random tiny model."""
    generate(folder / "hub", n_images=IMAGES)
    import_hub(folder / "hub", folder / "release", name="Demo", version="1.0", splits={Split.TEST: 1.0},
               sources=source_rules())  # fmt: skip
    items = read_items(folder / "release", Split.TEST)
    asked = ask(items, read_questions(folder / "release", Split.TEST), Protocol.CAPTIONS)
    weights = write_state(tiny_state(), folder / "tiny.safetensors")
    return Setting(release=folder / "release", weights=weights, asked=asked, files=items["file"].to_pylist())


def load(setting: Setting) -> OpenClipEncoder:
    """The evaluator's model, with its tokenizer and all."""
    architecture = get_architecture(TINY)
    with open_checkpoint(setting.weights) as file:
        keys = match_architecture(file, architecture)
        return load_model(file, keys, architecture, device=prepare_device(Device.CPU), precision=Precision.FP32)


def fast(setting: Setting, encoder: OpenClipEncoder) -> Answered:
    """The evaluator's answers."""
    architecture, clock = get_architecture(TINY), StageClock(Family.CONTRASTIVE)
    with open_material(setting.release, Split.TEST, architecture, PixelCache()) as material:
        crops = material.crops(architecture)
        return contrastive.answer(encoder, crops, setting.asked, BATCH_SIZES["cpu"], clock, Resume())


def loop(setting: Setting, loaded: tuple, places: np.ndarray) -> list[list[float]]:
    """The loop's scores of the questions at `places`."""
    rows = setting.asked.rows.take(places).to_pylist()
    images = [setting.release / setting.files[setting.asked.image_of[place]] for place in places]
    return [
        slow_loop.answer_one(*loaded, image, slow_loop.option_texts(row), together=True)
        for image, row in zip(images, rows, strict=True)
    ]


def check(answered: Answered, places: np.ndarray, expected: list[list[float]]) -> float:
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
