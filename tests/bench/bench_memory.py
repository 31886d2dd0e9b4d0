"""Memory of answering on the CPU. `python -m tests.bench memory`: peak of a process beyond its model's weights.

A release of 2,000 images as crops of 336 px, 0.7 GB of them, answered by a tiny tower: what grows with the images must
not stand in memory. Measured in a child, libraries included; with and without a cache of the crops.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.releases import write_release
from tests.bench.table import report_limit

IMAGES, IMAGE_PX, CROP_PX = 2_000, 256, 336
GOAL_MB = 2_000


def main() -> None:
    """Report, or, called with folders, answer and print the peak in kB."""
    if len(sys.argv) > 1:
        print(answer(*map(Path, sys.argv[1:])))
        return
    with tempfile.TemporaryDirectory() as folder:
        release = write_release(Path(folder, "release"), IMAGES, IMAGE_PX)
        cache = Path(folder, "cache")
        for what in ("no cache", "cache"):
            arguments = [str(release), folder] + ([] if what == "no cache" else [str(cache)])
            run = subprocess.run(
                [sys.executable, "-m", "tests.bench.bench_memory", *arguments], stdout=subprocess.PIPE, text=True,
                check=True,
            )  # fmt: skip
            report_limit("memory", f"{IMAGES:,} images of {CROP_PX} px, {what}", int(run.stdout) / 1000, GOAL_MB, "MB")


def answer(release: Path, scratch: Path, cache: Path | None = None) -> int:
    """Answer and return this process's peak less the weights, in kB."""
    from dataclasses import replace

    from evaluator.answering.run import answer_release
    from evaluator.answering.settings import RunSettings
    from evaluator.architectures.registry import get_architecture
    from evaluator.encoders.choices import Device
    from evaluator.encoders.open_clip import build_model
    from evaluator.pixels.cache import PixelCache
    from evaluator.release.schema import Split
    from evaluator.weights.checkpoint import open_checkpoint
    from tests.bench.bench_header import peak_kb
    from tests.builders.weights import TINY, write_state

    tiny = get_architecture(TINY)
    vision = {**tiny.config["vision_cfg"], "image_size": CROP_PX, "patch_size": CROP_PX // 8}
    architecture = replace(tiny, image_px=CROP_PX, config={**tiny.config, "vision_cfg": vision})
    weights = write_state(build_model(architecture).state_dict(), scratch / "tiny.safetensors")
    with open_checkpoint(weights) as file:
        run = answer_release(
            release, Split.TEST, file, architecture, RunSettings(device=Device.CPU), cache=PixelCache(folder=cache)
        )
    if run.embeddings is None or len(run.embeddings["embedding"]) != IMAGES:
        raise AssertionError("not every image was embedded")
    return peak_kb() - weights.stat().st_size // 1000


if __name__ == "__main__":
    main()
