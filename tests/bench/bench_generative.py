"""A tiny LLaVA answers six questions per image: the evaluator, which reads each image once, beside the usual loop of
toolkits (VLMEvalKit's, restated): per question the processor, then generate() on that one prompt.
`python -m tests.bench generative`.

Start-up is left out on both sides. The loop runs on the first images only, and its time is scaled up.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from evaluator.answering.families.generative import answer
from evaluator.answering.material import Material, open_material
from evaluator.answering.parts import Resume
from evaluator.answering.progress import StageClock
from evaluator.answering.questions import Asked, ask
from evaluator.answering.settings import BATCH_SIZES, RunSettings
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Family
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.device import prepare_device
from evaluator.encoders.loading import load_model, match_architecture
from evaluator.generators.generator import Generator
from evaluator.pixels.cache import PixelCache
from evaluator.release.importer import import_hub
from evaluator.release.prompts import render_prompt
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.bench.table import compare
from tests.builders.generators import generative_architecture, write_llava
from tests.builders.hub import hub_rows, write_hub
from tests.evaluator.answering.slow_generate import SlowGenerator

GOAL, LETTER_GOAL = 8.0, 20.0
IMAGES, LOOPED_IMAGES = 64, 8
ROUNDS = 3
NEW_TOKENS = RunSettings().max_new_tokens


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What both sides answer."""

    material: Material
    asked: Asked
    generator: Generator
    slow: SlowGenerator


def main() -> None:
    """Measure both and print them beside the goals; raises when a reply or a letter's score differs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        weights = write_llava(root / "tiny-llava")
        architecture = generative_architecture(weights.parent)
        write_hub(root / "hub", hub_rows(IMAGES))
        import_hub(root / "hub", root / "release", name="Bench", version="1.0", splits={Split.TEST: 1.0})
        with open_checkpoint(weights) as file:
            generator = load_model(
                file, match_architecture(file, architecture), architecture, device=prepare_device(Device.CPU),
                precision=Precision.FP32,
            )  # fmt: skip
        with open_material(root / "release", Split.TEST, architecture, PixelCache()) as material:
            asked = ask(material.items, material.questions, Protocol.QUESTIONS)
            measure(Setting(material=material, asked=asked, generator=generator, slow=SlowGenerator(weights.parent)))


def measure(setting: Setting) -> None:
    replies, letters = fast(setting, Protocol.QUESTIONS), fast(setting, Protocol.LETTER)
    n_looped = sum(1 for image in setting.asked.image_of if image < LOOPED_IMAGES)
    looped = loop(setting)
    if replies["text"].to_pylist()[:n_looped] != looped:
        raise AssertionError("the replies differ")
    difference = largest_difference(setting, letters, n_looped)
    n_rows = setting.asked.rows.num_rows
    print(f"  same replies, letters' log-probabilities within {difference:.1e} of a whole forward per question")
    for protocol, goal in ((Protocol.QUESTIONS, GOAL), (Protocol.LETTER, LETTER_GOAL)):
        compared = compare(
            lambda protocol=protocol: fast(setting, protocol), lambda: loop(setting), ROUNDS, scale=n_rows / n_looped
        )
        answered = "letters" if protocol is Protocol.LETTER else f"replies of at most {NEW_TOKENS} tokens"
        compared.report("P6", f"{n_rows:,} questions on {IMAGES} images, {answered} / generate() one by one", goal)


def fast(setting: Setting, protocol: Protocol) -> pa.Table:
    """The evaluator's own answers."""
    chosen = RunSettings(protocol=protocol, device=Device.CPU)
    return answer(
        setting.generator, setting.material.images(), setting.asked, chosen, BATCH_SIZES["cpu"],
        StageClock(Family.GENERATIVE), Resume(),
    ).answers  # fmt: skip


def loop(setting: Setting) -> list[str]:
    """The replies to the questions on the first images, one at a time."""
    images = setting.material.images()
    rows = zip(setting.asked.rows.to_pylist(), setting.asked.image_of, strict=True)
    return [
        setting.slow.reply(images[place], render_prompt(row["text"], row["options"]), NEW_TOKENS)
        for row, place in rows if place < LOOPED_IMAGES
    ]  # fmt: skip


def largest_difference(setting: Setting, letters: pa.Table, n_rows: int) -> float:
    """Of a letter's log-probability from that of a whole forward per question; raises beyond 1e-4."""
    images, largest = setting.material.images(), 0.0
    rows = setting.asked.rows.slice(0, n_rows).to_pylist()
    for row, place, found in zip(rows, setting.asked.image_of, letters["scores"].to_pylist(), strict=False):
        prompt = render_prompt(row["text"], row["options"])
        expected = setting.slow.letters(images[place], prompt, len(row["options"]))
        largest = max(largest, *(abs(a - b) for a, b in zip(found, expected, strict=True)))
    if largest > 1e-4:
        raise AssertionError(f"a letter's log-probability differs by {largest}")
    return largest


if __name__ == "__main__":
    main()
