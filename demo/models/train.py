"""python -m demo.models.train --out DIR: train the demo's models from nothing and describe them in models.json."""

import argparse
import hashlib
import json
import os
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from demo.generate.catalogue import DATASETS, Dataset
from demo.generate.plan import FIRST_TRAINING_SEED
from demo.models.images import TrainingImages, draw_training_images
from demo.models.recipes import RECIPES, Recipe
from demo.models.tiny import ARCHITECTURE, build_tiny
from demo.models.training import keep_known_tokens, train

DESCRIPTIONS = "models.json"
WEIGHTS = "weights"
SEED = 20
THREADS = 1  # more would make the result depend on their number


def train_models(
    out: Path, recipes: tuple[Recipe, ...] = RECIPES, *, processes: int = 1, report_every: int = 50
) -> list[dict[str, Any]]:
    """Train every recipe in order; write weights/<slug>.safetensors (half precision) and models.json under `out`.

    Returns the entries of models.json.
    """
    (out / WEIGHTS).mkdir(parents=True, exist_ok=True)
    described = []
    for recipe in recipes:
        started = time.monotonic()
        path = out / WEIGHTS / f"{recipe.slug}.safetensors"
        model = _train_one(recipe, out, processes, report_every)
        save_file({name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}, path)
        described.append(_describe(recipe, path, model))
        print(f"{recipe.slug}: {recipe.steps} steps, {time.monotonic() - started:.0f} s", flush=True)
    text = json.dumps({"schema": 1, "models": described}, indent=2, ensure_ascii=False)
    (out / DESCRIPTIONS).write_text(text + "\n", encoding="utf-8")
    return described


def _train_one(recipe: Recipe, out: Path, processes: int, report_every: int) -> torch.nn.Module:
    tiny = build_tiny(SEED)
    if recipe.base is None:
        keep_known_tokens(tiny)
    else:
        saved = load_file(out / WEIGHTS / f"{recipe.base}.safetensors")
        tiny.model.load_state_dict({name: tensor.float() for name, tensor in saved.items()})
    image_px = tiny.architecture.image_px
    images = _images(target_datasets(recipe), recipe.images_per_dataset, recipe.draw, image_px, processes)

    def report(step: int, loss: float) -> None:
        if step % report_every == 0:
            print(f"{recipe.slug}: step {step} of {recipe.steps}, loss {loss:.3f}", flush=True)

    train(
        tiny, images,
        steps=recipe.steps, batch_images=recipe.batch_images, peak_rate=recipe.peak_rate, seed=SEED, on_step=report,
    )  # fmt: skip
    return tiny.model


@cache
def _images(
    datasets: tuple[Dataset, ...], per_dataset: int, number: int, image_px: int, processes: int
) -> TrainingImages:
    """Kept, because two recipes share their images."""
    return draw_training_images(
        datasets, per_dataset=per_dataset, number=number, image_px=image_px, processes=processes
    )


def target_datasets(recipe: Recipe) -> tuple[Dataset, ...]:
    """The datasets whose images all lie in the recipe's target."""
    return tuple(d for d in DATASETS if all(getattr(d, facet) == value for facet, value in recipe.target))


def _describe(recipe: Recipe, path: Path, model: torch.nn.Module) -> dict[str, Any]:
    datasets = target_datasets(recipe)
    scope = "every dataset" if not recipe.target else ", ".join(dataset.name for dataset in datasets)
    n_images = recipe.images_per_dataset * len(datasets)
    return {
        "slug": recipe.slug, "name": recipe.name, "description": recipe.description, "architecture": ARCHITECTURE,
        "base": recipe.base, "target": [f"{facet}={value}" for facet, value in recipe.target],
        "training_data": (
            f"{n_images} images drawn by demo.generate from seed {FIRST_TRAINING_SEED + recipe.draw} ({scope}); "
            "no image of a release, whose seeds are smaller."
        ),
        "steps": recipe.steps,
        "file": f"{WEIGHTS}/{path.name}", "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m demo.models.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=float, default=1.0, metavar="SHARE", help="share of the steps (for trying)")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    recipes = tuple(replace(recipe, steps=max(1, round(recipe.steps * args.steps))) for recipe in RECIPES)
    train_models(args.out, recipes, processes=min(2, os.cpu_count() or 1))


if __name__ == "__main__":
    main()
