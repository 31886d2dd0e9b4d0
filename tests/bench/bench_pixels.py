"""P3: the second model on a release. `python -m tests.bench pixels`.

A release of 512 px micrographs, answered end to end in this process (decode, crop, load, embed texts and images,
choose) by two checkpoints of a tiny tower (0.8 M parameters in the image tower, 64 px): the first with an empty cache
of crops, the second with the cache that the first left. With a larger tower the ratio is smaller: only what is not the
model's own forward pass can be saved.

Beside it, CLIP_benchmark's loop over images: batches of 64, each image opened, transformed by open_clip's own transform
and embedded. It embeds no texts and answers nothing, so it does less than our run; no loader processes, as this machine
has two cores and our decoding uses both in threads.
"""

import shutil
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from evaluator.answering.run import Run, answer_release
from evaluator.answering.settings import RunSettings
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.pixels.cache import PixelCache
from evaluator.release.read import read_items
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.bench.releases import write_release
from tests.bench.table import compare
from tests.builders.weights import TINY, tiny_state, write_state
from tests.evaluator.answering import slow_loop

IMAGES, PX = 500, 512
GOAL, ROUNDS, BATCH, TOLERANCE = 3.0, 3, 64, 1e-5


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release = write_release(folder / "release", IMAGES, PX)
        first, second = (write_state(tiny_state(seed), folder / f"{seed}.safetensors") for seed in (1, 2))
        kept = PixelCache(folder=folder / "kept")
        answer(release, first, kept)
        difference = check(release, second, kept)
        print(f"  cached and uncached answers equal to the bit; largest difference from the loop {difference:.1e}")
        fresh = (PixelCache(folder=folder / f"fresh-{n}") for n in count())

        def with_empty_cache() -> None:
            cache = next(fresh)
            answer(release, first, cache)
            shutil.rmtree(cache.folder or "")

        workload = f"{IMAGES} images of {PX} px, tiny tower: second model"
        compare(lambda: answer(release, second, kept), with_empty_cache, ROUNDS).report(
            "P3", f"{workload} / first", GOAL
        )
        loaded = slow_loop.load(second)
        compare(lambda: answer(release, second, kept), lambda: loop(loaded, release), ROUNDS).report(
            "P3", f"{workload} / CLIP_benchmark loop over images", GOAL
        )


def answer(release: Path, weights: Path, cache: PixelCache) -> Run:
    """One whole run, as `python -m evaluator answer` makes it."""
    with open_checkpoint(weights) as file:
        return answer_release(
            release, Split.TEST, file, get_architecture(TINY), RunSettings(device=Device.CPU), cache=cache
        )


def loop(loaded: tuple[torch.nn.Module, object, object], release: Path) -> np.ndarray:
    """Every image's embedding, batch by batch."""
    model, transform, _ = loaded
    files = read_items(release, Split.TEST)["file"].to_pylist()
    found = []
    with torch.inference_mode():
        for start in range(0, len(files), BATCH):
            images = [transform(Image.open(release / file).convert("RGB")) for file in files[start : start + BATCH]]  # type: ignore[operator]
            found.append(model.encode_image(torch.stack(images), normalize=True))  # type: ignore[operator]
    return torch.cat(found).numpy()


def check(release: Path, weights: Path, cache: PixelCache) -> float:
    """The largest difference from the loop's embeddings; raises when the cache changes anything."""
    cached, uncached = answer(release, weights, cache), answer(release, weights, PixelCache())
    if cached.embeddings is None or uncached.embeddings is None:
        raise AssertionError("no embeddings")
    if not cached.answers.equals(uncached.answers) or not np.array_equal(
        cached.embeddings["embedding"], uncached.embeddings["embedding"]
    ):
        raise AssertionError("the cache changed the answers")
    difference = float(np.abs(cached.embeddings["embedding"] - loop(slow_loop.load(weights), release)).max())
    if difference > TOLERANCE:
        raise AssertionError(f"embeddings differ from the loop's by {difference}")
    return difference


if __name__ == "__main__":
    main()
