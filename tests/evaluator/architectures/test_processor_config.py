"""What is read from an image processor's config gives its pixels, bit for bit, on images of every shape."""

import json
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from evaluator.architectures.architecture import Architecture, Family, Library
from evaluator.architectures.processor_config import DEFAULTS, read_processor
from evaluator.encoders.encoder import Normaliser
from evaluator.errors import ProblemLog
from evaluator.pixels.crop import crop

SIZES = [(32, 32), (33, 47), (61, 38), (200, 35), (9, 90), (90, 9), (20, 21), (31, 64), (1, 1), (300, 299)]
SQUARE = {"height": 32, "width": 32}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("CLIP", {"size": {"shortest_edge": 32}, "crop_size": SQUARE}),
    ("CLIP", {"size": {"shortest_edge": 37}, "crop_size": SQUARE, "resample": 2}),
    ("CLIP", {"size": {"shortest_edge": 27}, "crop_size": SQUARE, "resample": 1}),
    ("CLIP", {"size": 37, "crop_size": 32}),
    ("CLIP", {"size": {"height": 39, "width": 39}, "crop_size": {"height": 32, "width": 32}, "resample": 0}),
    ("CLIP", {"size": {"height": 30, "width": 30}, "do_center_crop": False, "do_normalize": False}),
    ("CLIP", {}),
    ("Siglip", {"size": SQUARE}),
    ("Siglip", {"size": SQUARE, "resample": 2, "image_mean": 0.4, "image_std": [0.2, 0.3, 0.4]}),
    ("Blip", {"size": SQUARE, "resample": 4}),
    ("Blip", {"size": SQUARE, "resample": 5, "rescale_factor": 1 / 200}),
    ("EfficientNet", {"size": {"height": 39, "width": 39}, "crop_size": SQUARE, "do_center_crop": True,
                      "include_top": False, "rescale_factor": 1 / 127.5, "rescale_offset": True,
                      "do_normalize": False}),
    ("EfficientNet", {"size": SQUARE, "include_top": False, "resample": 2, "rescale_offset": True}),
]  # fmt: skip


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{json.dumps(case[1])[:60]}")
def case(request: pytest.FixtureRequest) -> tuple[Any, Architecture]:
    """The library's processor, and the architecture that its saved config is read into."""
    kind, options = request.param
    processor = getattr(transformers, f"{kind}ImageProcessorPil")(**options)
    log = ProblemLog()
    found = read_processor(
        {"image_processor_type": f"{kind}ImageProcessorFast"} | options, log, "preprocessor_config.json"
    )
    saved = read_processor(json.loads(processor.to_json_string()), log, "preprocessor_config.json")
    assert not log and found is not None and found == saved
    return processor, Architecture(
        name="x", family=Family.CONTRASTIVE, library=Library.TRANSFORMERS, parameters=1, image_px=found[1],
        context_length=1, activation="", preprocessing=found[0], config={},
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixels_are_the_processors(case: tuple[Any, Architecture], size: tuple[int, int]) -> None:
    processor, architecture = case
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
    recipe = architecture.crop_recipe
    assert recipe is not None
    found = crop(image, recipe)
    raw = {"do_rescale": False, "do_normalize": False}
    expected = processor(images=image, return_tensors="np", **raw)["pixel_values"][0]
    assert found.dtype == expected.dtype == np.uint8
    np.testing.assert_array_equal(found, expected.transpose(1, 2, 0))
    model_input = processor(images=image, return_tensors="pt")["pixel_values"]
    normalise = Normaliser(preprocessing=architecture.preprocessing, device=torch.device("cpu"))
    torch.testing.assert_close(normalise(found[None]), model_input, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_a_config_leaves_out_is_the_classes_default(name: str) -> None:
    stated = {"include_top": False} if name.startswith("EfficientNet") else {}
    saved = json.loads(getattr(transformers, f"{name}Pil")(**stated).to_json_string())
    log = ProblemLog()
    assert read_processor({"image_processor_type": name} | stated, log, "x") == read_processor(saved, log, "x")
    assert not log
