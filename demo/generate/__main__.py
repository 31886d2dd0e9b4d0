"""python -m demo.generate --out DIR [--images N] [--seed S]: draw a benchmark in the Hub's layout."""

import argparse
import os
import time
from pathlib import Path

from demo.generate.hub import write_shards
from demo.generate.plan import FIRST_TRAINING_SEED, plan_images, source_rules
from demo.generate.rows import make_rows

IMAGES = 1_800


def generate(out: Path, *, n_images: int = IMAGES, seed: int = 0, n_shards: int = 2, processes: int = 1) -> None:
    """Write a benchmark of `n_images` drawn images under `out`. Raises ValueError on a seed kept for training."""
    if not 0 <= seed < FIRST_TRAINING_SEED:
        raise ValueError(f"seeds from {FIRST_TRAINING_SEED} on are kept for training images; choose a smaller one")
    plans = plan_images(n_images, seed)
    write_shards(make_rows(plans, processes), len(plans), out, n_shards)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.generate", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--images", type=int, default=IMAGES, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help=f"0 to {FIRST_TRAINING_SEED - 1}")
    args = parser.parse_args()
    if args.images < 1 or not 0 <= args.seed < FIRST_TRAINING_SEED:
        parser.error(f"--images is at least 1 and --seed between 0 and {FIRST_TRAINING_SEED - 1}")
    started = time.monotonic()
    generate(args.out, n_images=args.images, seed=args.seed, processes=min(2, os.cpu_count() or 1))
    print(f"{args.images} images in {time.monotonic() - started:.0f} s; import them with")
    rules = " ".join(f"--source '{dataset}={rule}'" for dataset, rule in source_rules().items())
    print(f"  python -m evaluator import-ubench {args.out} --out RELEASE {rules}")


if __name__ == "__main__":
    main()
