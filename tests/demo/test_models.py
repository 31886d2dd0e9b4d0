"""The demo's models: the recipe runs, repeats itself, and the committed files are what models.json says."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from demo.generate.catalogue import DATASETS
from demo.generate.plan import FIRST_TRAINING_SEED
from demo.models.images import draw_training_images
from demo.models.recipes import RECIPES
from demo.models.tiny import build_tiny
from demo.models.train import train_models
from demo.models.training import keep_known_tokens, train
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.loading import match_architecture
from evaluator.weights.header import read_header

MODELS = Path(__file__).parents[2] / "demo" / "models"


@pytest.fixture
def described() -> list[dict]:
    return json.loads((MODELS / "models.json").read_text(encoding="utf-8"))["models"]


def test_committed_files_are_the_described_ones(described: list[dict]) -> None:
    assert [model["slug"] for model in described] == [recipe.slug for recipe in RECIPES]
    for model in described:
        path = MODELS / model["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == model["sha256"]
        tensors = load_file(path)
        assert sum(tensor.numel() for tensor in tensors.values()) == model["parameters"]
        assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
        match_architecture(read_header(path), get_architecture(model["architecture"]))


def test_specialists_are_tuned_from_a_model_that_stands_before_them(described: list[dict]) -> None:
    seen: dict[str, dict] = {}
    for model in described:
        assert bool(model["base"]) == bool(model["target"])
        if model["base"]:
            base, tuned = (load_file(MODELS / m["file"]) for m in (seen[model["base"]], model))
            moved = sum((tuned[name].float() - base[name].float()).norm() ** 2 for name in base) ** 0.5
            assert moved > 0.1
        seen[model["slug"]] = model


def test_training_images_come_from_seeds_no_benchmark_may_use(described: list[dict]) -> None:
    for recipe, model in zip(RECIPES, described, strict=True):
        assert recipe.draw >= 0
        assert f"seed {FIRST_TRAINING_SEED + recipe.draw}" in model["training_data"]


def test_the_recipe_runs_from_nothing_and_repeats_itself(tmp_path: Path) -> None:
    short = tuple(
        replace(recipe, steps=2, images_per_dataset=3, batch_images=8)
        for recipe in RECIPES
        if recipe.slug in ("tiny-generalist", "tiny-pathologist")
    )
    first, second = (train_models(tmp_path / name, short, report_every=100) for name in ("one", "two"))
    assert first == second
    assert {model["slug"] for model in first} >= {"tiny-generalist", "tiny-pathologist"}
    for model in first:
        match_architecture(read_header(tmp_path / "one" / model["file"]), get_architecture(model["architecture"]))


def test_training_lowers_the_loss() -> None:
    images = draw_training_images(DATASETS[:2], per_dataset=32, number=5, image_px=64, processes=1)
    tiny = build_tiny(1)
    losses: list[float] = []
    train(
        tiny, images, steps=12, batch_images=16, peak_rate=1e-3, seed=1, on_step=lambda step, loss: losses.append(loss)
    )
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_unknown_tokens_stay_zero_and_known_ones_do_not() -> None:
    tiny = build_tiny(1)
    keep_known_tokens(tiny)
    rows = tiny.model.token_embedding.weight.detach()
    used = tiny.tokenizer(["A micrograph of smooth muscle."]).unique()
    assert (rows[used].abs().sum(dim=1) > 0).all()
    assert (rows.abs().sum(dim=1) == 0).float().mean() > 0.9
