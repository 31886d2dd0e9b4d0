"""Crops equal open_clip's own transform bit for bit, before and after it turns pixels into numbers."""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from evaluator.architectures.architecture import Preprocessing
from evaluator.architectures.registry import list_architectures
from evaluator.encoders.encoder import Normaliser
from evaluator.pixels import crop as crop_module
from evaluator.pixels.crop import crop
from evaluator.pixels.read import read_image
from evaluator.pixels.recipe import CropRecipe, Fit
from evaluator.release.importing.images import store_png

RECIPES = sorted(
    {(a.crop_recipe, a.preprocessing) for a in list_architectures() if a.crop_recipe and not a.preprocessing.resize_px},
    key=str,
)
LONGEST = Preprocessing(resize_mode="longest")
RECIPES += [
    (CropRecipe(crop_px=side, resize_px=side, fit=Fit.LONGEST, interpolation="bicubic", fill=fill), LONGEST)
    for side, fill in ((64, 0), (97, 7))
]
SIDES = st.integers(40, 300) | st.sampled_from([224, 336, 447])
ANY = st.integers(1, 150) | st.sampled_from([47, 48, 49, 300])
NAMES = [recipe.key + ("" if how.mean[0] > 0.48 else f"-{how.mean[0]}") for recipe, how in RECIPES]


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def by_open_clip(image: Image.Image, recipe: CropRecipe, how: Preprocessing) -> tuple[np.ndarray, torch.Tensor]:
    """The pixels before ToTensor, and the whole input, of open_clip's evaluation transform."""
    transform = image_transform_v2(
        PreprocessCfg(size=recipe.crop_px, mean=how.mean, std=how.std, interpolation=how.interpolation,
                      resize_mode=how.resize_mode, fill_color=recipe.fill), is_train=False)  # fmt: skip
    pixels = image
    for step in transform.transforms[:-2]:
        pixels = step(pixels)
    return np.asarray(pixels), transform(image)


def test_every_fit_and_interpolation_is_compared() -> None:
    assert {recipe.fit for recipe, _ in RECIPES} == set(Fit)
    assert {recipe.interpolation for recipe, _ in RECIPES} == {"bicubic", "bilinear"}
    every = {a.crop_recipe for a in list_architectures() if a.crop_recipe and not a.preprocessing.resize_px}
    assert {recipe for recipe, _ in RECIPES} >= every


def compare(image: Image.Image, recipe: CropRecipe, how: Preprocessing) -> None:
    ours = crop(image, recipe)
    pixels, whole = by_open_clip(image, recipe, how)
    assert ours.dtype == np.uint8 and np.array_equal(ours, pixels)
    assert torch.equal(Normaliser(preprocessing=how, device=torch.device("cpu"))(ours[None])[0], whole)


@pytest.mark.parametrize(("recipe", "how"), RECIPES, ids=NAMES)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(width=SIDES, height=SIDES, seed=st.integers(0, 9))
@example(width=1, height=1, seed=0)
@example(width=225, height=223, seed=0)
@example(width=512, height=512, seed=0)
def test_registered_recipes_equal_open_clip(
    recipe: CropRecipe, how: Preprocessing, width: int, height: int, seed: int
) -> None:
    compare(picture(width, height, seed), recipe, how)


@pytest.mark.parametrize("fit", list(Fit))
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(side=st.integers(1, 70), width=ANY, height=ANY, fill=st.sampled_from([0, 255]))
@example(side=48, width=1, height=300, fill=0)
@example(side=48, width=300, height=1, fill=0)
def test_any_size_equals_open_clip(fit: Fit, interpolation: str, side: int, width: int, height: int, fill: int) -> None:
    if fit is Fit.LONGEST and round(min(width, height) * side / max(width, height)) == 0:
        return  # open_clip rounds the short side to 0 px and fails
    recipe = CropRecipe(crop_px=side, resize_px=side, fit=fit, interpolation=interpolation, fill=fill)
    compare(picture(width, height), recipe, Preprocessing(interpolation=interpolation, resize_mode=fit.value))


@pytest.mark.parametrize(("recipe", "how"), RECIPES, ids=NAMES)
def test_image_of_the_exact_size_is_left_alone(recipe: CropRecipe, how: Preprocessing) -> None:
    image = picture(recipe.crop_px, recipe.crop_px)
    assert np.array_equal(crop(image, recipe), np.asarray(image))


@pytest.mark.parametrize("size", [(1, 2000), (2000, 1), (3, 1001), (1001, 3), (2, 700)], ids=str)
def test_thin_images_equal_open_clip_also_strip_by_strip(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = CropRecipe(crop_px=64, resize_px=64, fit=Fit.SHORTEST, interpolation="bicubic")
    expected, _ = by_open_clip(picture(*size), recipe, Preprocessing())
    assert np.array_equal(crop(picture(*size), recipe), expected)
    monkeypatch.setattr(crop_module, "MAX_PIXELS", 1_000_000)
    assert np.array_equal(crop(picture(*size), recipe), expected)


@pytest.mark.parametrize("size", [(1, 2000), (2000, 1)], ids=str)
def test_thin_image_that_open_clip_rounds_to_nothing_keeps_one_pixel(size: tuple[int, int]) -> None:
    recipe = CropRecipe(crop_px=64, resize_px=64, fit=Fit.LONGEST, interpolation="bicubic")
    found = crop(Image.new("RGB", size, (9, 9, 9)), recipe)
    assert found.shape == (64, 64, 3) and (found == 9).sum() == 64 * 3


@pytest.mark.parametrize("size", [(1, 2000), (20_000, 1)], ids=str)
def test_thin_image_takes_no_more_memory_than_a_strip(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Resized as wholes they would have 226 and 2,258 million px, 0.9 and 9 GB."""
    largest, resize = 0, Image.Image.resize

    def measured(image: Image.Image, to: tuple[int, int], *how: object) -> Image.Image:
        nonlocal largest
        largest = max(largest, to[0] * to[1])
        return resize(image, to, *how)  # type: ignore[arg-type]

    monkeypatch.setattr(Image.Image, "resize", measured)
    found = crop(picture(*size), CropRecipe(crop_px=336, resize_px=336, fit=Fit.SHORTEST, interpolation="bicubic"))
    assert found.shape == (336, 336, 3) and largest <= crop_module.MAX_PIXELS


STORED = {
    "RGB": np.random.default_rng(1).integers(0, 256, (50, 41, 3), dtype=np.uint8),
    "L": np.random.default_rng(2).integers(0, 256, (50, 41), dtype=np.uint8),
    "I;16": np.random.default_rng(3).integers(0, 400, (50, 41), dtype=np.uint16),
    "RGBA": np.random.default_rng(4).integers(0, 256, (50, 41, 4), dtype=np.uint8),
}


@pytest.mark.parametrize("mode", [*STORED, "P"])
def test_images_as_a_release_stores_them(tmp_path: Path, mode: str) -> None:
    """The reference is the official code's: the file opened, converted to RGB, given to the transform."""
    encoded = io.BytesIO()
    image = Image.fromarray(STORED["RGB" if mode == "P" else mode])
    (image.quantize(16) if mode == "P" else image).save(encoded, "PNG")
    store_png(encoded.getvalue(), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as stored:
        assert stored.mode == ("RGB" if mode == "P" else mode)
        rgb = stored.convert("RGB")
    recipe, how = CropRecipe(crop_px=32, resize_px=32, fit=Fit.SHORTEST, interpolation="bicubic"), Preprocessing()
    pixels, whole = by_open_clip(rgb, recipe, how)
    ours = crop(read_image(tmp_path / "a.png"), recipe)
    assert np.array_equal(ours, pixels)
    assert torch.equal(Normaliser(preprocessing=how, device=torch.device("cpu"))(ours[None])[0], whole)


def test_recipes_are_named_by_every_field() -> None:
    recipe = CropRecipe(crop_px=32, resize_px=33, fit=Fit.SHORTEST, interpolation="bicubic")
    changes = ({"crop_px": 31}, {"resize_px": 32}, {"fit": Fit.SQUASH}, {"interpolation": "bilinear"}, {"fill": 1})
    assert len({recipe.key, *(replace(recipe, **change).key for change in changes)}) == 6
