"""P1 and P2: 21 α between base and tuned. `python -m tests.bench sweep`.

A release of 256 micrographs of 512 px, a ViT of 3.4 M parameters in its image tower (80 px, 25 patches), random weights
and a tuned copy in which every tensor differs; fp32, one process, no cache of pixels. Start-up (imports) is left out on
both sides.

P1: our sweep, from opening both checkpoints to the answers at all α, against the loop that follows wise-ft's
`wise_ft.py`: for each α mix the two state dicts, save the mixed model, load it again, open, transform and embed every
image, build the classifier's text embeddings anew, and choose. The loop is run at a few α and its time is scaled up to
all of them; each of its α takes the same work. It embeds each distinct text once and in batches, as its zero-shot head
does, and has no loader processes, as this machine has two cores and our decoding uses both in threads.

P2: the time of the model's own forward passes over all images and texts, at the sweep's batch sizes, 21 times, over the
wall time of the whole sweep: decoding, cropping, loading, mixing, tokenising and choosing included. By an image
tower of ViT-S (21.5 M): the smaller the model, the more of the wall is decoding, which happens once.
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from evaluator.answering.questions import ask
from evaluator.answering.settings import BATCH_SIZES, RunSettings
from evaluator.answering.sweeps.sweep import Sweep, sweep_release
from evaluator.answering.sweeps.sweep_answers import answers_at
from evaluator.answers import ABSTAINED, Protocol
from evaluator.architectures.architecture import Architecture, Preprocessing
from evaluator.architectures.open_clip_config import describe
from evaluator.encoders import open_clip as ours
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.device import prepare_device
from evaluator.pixels.cache import PixelCache
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.bench.releases import write_release
from tests.bench.table import Row, compare, report, seconds
from tests.builders.pairs import tuned_state
from tests.builders.weights import write_state

IMAGES, PX, SIDE = 256, 512, 80
ALPHAS = tuple(number / 20 for number in range(21))
LOOPED = (0.0, 0.5, 1.0)
GOAL, EFFICIENCY, ROUNDS, TOLERANCE = 4.0, 0.9, 2, 1e-5
SMALL, LARGER = ({"width": 256, "layers": 4}, {"width": 384, "layers": 12})  # image towers of 3.4 M and 21.5 M


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What both sides answer, and with what."""

    folder: Path
    release: Path
    base: Path
    tuned: Path
    architecture: Architecture


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        release = write_release(Path(name, "release"), IMAGES, PX)
        setting = prepare(Path(name), release, SMALL)
        difference = check(setting, sweep(setting))
        print(f"  same choices at {len(LOOPED)} alphas; largest difference of a score at the ends {difference:.1e}")
        compared = compare(
            lambda: sweep(setting), lambda: [loop(setting, alpha) for alpha in LOOPED], ROUNDS,
            scale=len(ALPHAS) / len(LOOPED),
        )  # fmt: skip
        compared.report(
            "P1", f"{IMAGES} images of {PX} px, ViT of 3.4 M, {len(ALPHAS)} alphas / wise-ft loop at {len(LOOPED)}",
            GOAL,
        )  # fmt: skip
        report_efficiency(prepare(Path(name), release, LARGER))


def prepare(folder: Path, release: Path, tower: dict[str, int]) -> Setting:
    """Two checkpoints of an architecture with this image tower."""
    config = {
        "embed_dim": 64, "vision_cfg": {"image_size": SIDE, "patch_size": 16, "head_width": 64, **tower},
        "text_cfg": {"context_length": 48, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 3},
    }  # fmt: skip
    architecture = describe("tiny-vit", config, preprocessing=Preprocessing())
    torch.manual_seed(0)
    base = ours.build_model(architecture).state_dict()
    return Setting(
        folder=folder, release=release, architecture=architecture, base=write_state(base, folder / "base.safetensors"),
        tuned=write_state(tuned_state(base), folder / "tuned.safetensors"),
    )  # fmt: skip


def sweep(setting: Setting) -> Sweep:
    """Ours, as `python -m evaluator sweep` makes it."""
    with ExitStack() as stack:
        base, tuned = (stack.enter_context(open_checkpoint(path)) for path in (setting.base, setting.tuned))
        return sweep_release(
            setting.release, [Split.TEST], base, tuned, setting.architecture, ALPHAS, RunSettings(device=Device.CPU),
            cache=PixelCache(),
        )  # fmt: skip


def loop(setting: Setting, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """One α of the loop: what is chosen for every question, and the scores of all options, one after the other."""
    import open_clip

    first, second = (load_file(path) for path in (setting.base, setting.tuned))
    mixed = setting.folder / "mixed.safetensors"
    save_file({name: ((1 - alpha) * first[name] + alpha * second[name]).contiguous() for name in first}, mixed)
    model = ours.build_model(setting.architecture)
    model.load_state_dict(load_file(mixed))
    transform = open_clip.image_transform(SIDE, is_train=False)
    tokenizer = open_clip.SimpleTokenizer(context_length=48)
    items = read_items(setting.release, Split.TEST)
    asked = ask(items, read_questions(setting.release, Split.TEST), Protocol.CAPTIONS)
    encoder: Any = model
    with torch.inference_mode():
        images = [
            encoder.encode_image(
                torch.stack([transform(Image.open(setting.release / file).convert("RGB")) for file in files]),
                normalize=True,
            ) for files in batches(items["file"].to_pylist(), BATCH_SIZES["cpu"].images)
        ]  # fmt: skip
        texts = [
            encoder.encode_text(tokenizer(some), normalize=True)
            for some in batches(asked.texts, BATCH_SIZES["cpu"].texts)
        ]
        similar = (torch.cat(images) @ torch.cat(texts).T).numpy()
    scores = similar[np.repeat(asked.image_of, np.diff(asked.offsets)), asked.text_of]
    chosen = [int(scores[start:stop].argmax()) for start, stop in zip(asked.offsets, asked.offsets[1:], strict=False)]
    return np.array(chosen), scores


def batches(values: list[Any], size: int) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def check(setting: Setting, done: Sweep) -> float:
    """The largest difference of a score at the ends; raises when a clear choice differs anywhere."""
    largest = 0.0
    for alpha in LOOPED:
        chosen, scores = loop(setting, alpha)
        found = answers_at(done.answers, Split.TEST, alpha)
        lengths = [len(options) for options in done.rows[Split.TEST]["options"].to_pylist()]
        margins = [np.diff(np.sort(some)[-2:])[0] for some in np.split(scores, np.cumsum(lengths)[:-1])]
        differs = found["chosen"].to_numpy() != chosen
        if (differs & (found["chosen"].to_numpy() != ABSTAINED) & (np.array(margins) > TOLERANCE)).any():
            raise AssertionError(f"another choice at alpha {alpha}")
        if alpha in (0.0, 1.0):
            own = np.concatenate(found["scores"].to_pylist())
            largest = max(largest, float(np.abs(own - scores).max()))
    if largest > TOLERANCE:
        raise AssertionError(f"scores differ by {largest}")
    return largest


def report_efficiency(setting: Setting) -> None:
    """The model's own passes beside the whole sweep, in turn."""
    model = ours.build_model(setting.architecture)
    encoder = ours.wrap_model(model, setting.architecture, prepare_device(Device.CPU), Precision.FP32)
    items = read_items(setting.release, Split.TEST)
    asked = ask(items, read_questions(setting.release, Split.TEST), Protocol.CAPTIONS)
    by_length = sorted(asked.texts, key=encoder.n_tokens)
    tokens = [encoder.tokenizer(some) for some in batches(by_length, BATCH_SIZES["cpu"].texts)]
    pixels = torch.rand(IMAGES, 3, SIDE, SIDE).split(BATCH_SIZES["cpu"].images)

    def forward() -> None:
        with torch.inference_mode():
            for some in pixels:
                model.encode_image(some)  # type: ignore[operator]
            for some in tokens:
                ours.encode_text(model, some)

    forward()
    passes, sweeps = [], []
    for _ in range(ROUNDS):
        passes.append(seconds(lambda: [forward() for _ in ALPHAS]))
        sweeps.append(seconds(lambda: sweep(setting)))
    (spent, spent_cpu), (wall, cpu) = (np.median(side, axis=0) for side in (passes, sweeps))
    report(Row(
        id="P2", workload=f"{len(ALPHAS)} x forward passes of a ViT of 21.5 M / whole sweep",
        ours=f"{spent / wall:.2f} ({spent:.3g} s / {wall:.3g} s; cpu {spent_cpu / cpu:.2f})", goal=f"≥ {EFFICIENCY:g}",
        met=bool(spent / wall >= EFFICIENCY),
    ))  # fmt: skip


if __name__ == "__main__":
    main()
