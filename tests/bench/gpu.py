"""Images per second on a GPU, beside what its arithmetic allows. `python -m tests.bench.gpu`; not part of `make bench`.

Image towers of ViT-B/32, B/16 and L/14 with random weights, in float32 (TF32 off, the official precision) and bf16, on
17,315 crops made here and read from a file as a cached release is. Timed: reading, moving to the GPU, normalising, the
tower, embeddings back. The limit is an H200's 790 TFLOP/s of dense bf16 products over the tower's operations; the share
says how much of it is reached. Other cards have other limits: `--tflops`.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluator.answering.families.contrastive import embed_images
from evaluator.answering.families.halving import Halving
from evaluator.answering.parts import Resume
from evaluator.answering.progress import StageClock
from evaluator.answering.settings import BATCH_SIZES
from evaluator.architectures.architecture import Architecture, Family
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.device import device_name, peak_memory, prepare_device
from evaluator.encoders.encoder import Encoder
from evaluator.encoders.loading import maker_of
from evaluator.pixels.files import open_crops

IMAGES, DIFFERENT = 17_315, 512
GFLOP = {"ViT-B-32": 8.82, "ViT-B-16": 35.1, "ViT-L-14": 162.0}  # per image: open_clip's docs/model_profile.csv
H200_TFLOPS = 790.0


def main(arguments: list[str] | None = None) -> None:
    """Print a line per shape and precision, or that there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--device", type=Device, choices=list(Device), default=Device.CUDA)
    parser.add_argument("--shapes", nargs="+", default=list(GFLOP), metavar="ARCHITECTURE")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--batch", type=int, help="default: the evaluator's own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tflops", type=float, default=H200_TFLOPS, help="of dense bf16 products; default: an H200's")
    args = parser.parse_args(arguments)
    if args.device is Device.CUDA and not torch.cuda.is_available():
        print("no GPU: torch sees none here, so nothing was measured. `--device cpu` runs the same code on the CPU.")
        return
    device = prepare_device(args.device)
    batch = args.batch or BATCH_SIZES[device.type].images
    print(f"{device_name(device)}, torch {torch.__version__}, {args.images:,} images, batches of {batch}")
    for name in args.shapes:
        architecture = get_architecture(name)
        with synthetic_crops(architecture, args.images) as crops:
            for precision in Precision:
                encoder = random_encoder(architecture, device, precision)
                rates = measure(encoder, crops, batch, args.rounds)
                print(line(name, precision, rates, args.tflops, device), flush=True)


@contextmanager
def synthetic_crops(architecture: Architecture, n: int) -> Iterator[NDArray[np.uint8]]:
    """n random crops in a file: a few hundred different ones, again and again."""
    recipe = architecture.crop_recipe
    assert recipe is not None
    different = np.random.default_rng(0).integers(0, 256, (DIFFERENT, recipe.crop_px, recipe.crop_px, 3), np.uint8)
    with tempfile.NamedTemporaryFile() as out:
        for start in range(0, n, DIFFERENT):
            out.write(different[: min(DIFFERENT, n - start)].data)
        out.flush()
        with Path(out.name).open("rb") as file:
            yield open_crops(file, n, recipe)


def random_encoder(architecture: Architecture, device: torch.device, precision: Precision) -> Encoder:
    """The architecture with random weights, as the evaluator wraps it."""
    torch.manual_seed(0)
    maker = maker_of(architecture)
    return maker.wrap_model(maker.build_model(architecture).to(device), architecture, device, precision)


def measure(encoder: Encoder, crops: NDArray[np.uint8], batch: int, rounds: int) -> list[float]:
    """Images per second of each round, after a batch to warm up; raises when an embedding is not finite."""
    embed_images(encoder, crops[:batch], Halving(batch), StageClock(Family.CONTRASTIVE), Resume())
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        embedded = embed_images(encoder, crops, Halving(batch), StageClock(Family.CONTRASTIVE), Resume())
        rates.append(len(embedded) / (time.perf_counter() - started))  # embeddings on the CPU: the GPU is done
    return rates


def line(name: str, precision: Precision, rates: list[float], tflops: float, device: torch.device) -> str:
    """Median rate, its range, and the share of the limit where the tower's operations are known."""
    rate = float(np.median(rates))
    said = f"  {name:12} {precision:5} {rate:10,.1f} images/s ({min(rates):,.1f}-{max(rates):,.1f})"
    if name in GFLOP and device.type == "cuda":
        limit = tflops * 1000 / GFLOP[name]
        said += f"   limit {limit:8,.0f}   {rate / limit:6.1%} of it"
    return f"{said}   peak {peak_memory(device) / 1e9:.1f} GB"


if __name__ == "__main__":
    main()
