"""The definition per family, the slow way: the library's processor and forward, one image and one text at a time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import open_clip
import torch
import transformers
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file

from tests.builders.families import open_clip_model

Score = Callable[[Image.Image, str], float]


def reference(folder: Path, weights: Path) -> Score:
    """The cosine of an image and a text by the library that the folder is of."""
    if (folder / "open_clip_config.json").is_file():
        return _open_clip(folder, weights)
    config = json.loads((folder / "config.json").read_text())
    return TRANSFORMERS[config["model_type"]](folder, load_file(weights))


def _inputs(folder: Path, image_processor: type, file: str = "preprocessor_config.json") -> Callable[..., Any]:
    """What the processor makes of an image and a text."""
    stated = json.loads((folder / file).read_text())
    processor = image_processor(**stated.get("image_processor", stated))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)

    def make(image: Image.Image, text: str, **padding: Any) -> dict[str, torch.Tensor]:
        pixels = processor(images=image, return_tensors="pt")["pixel_values"]
        return {**tokenizer(text, return_tensors="pt", truncation=True, **padding), "pixel_values": pixels}

    return make


def _clip(folder: Path, state: dict[str, torch.Tensor]) -> Score:
    model = transformers.CLIPModel(transformers.CLIPConfig.from_pretrained(folder)).eval()
    model.load_state_dict(state)
    inputs = _inputs(folder, transformers.CLIPImageProcessorPil)
    return lambda image, text: float(model(**inputs(image, text)).logits_per_image / model.logit_scale.exp())


def _siglip(folder: Path, state: dict[str, torch.Tensor]) -> Score:
    model = transformers.SiglipModel(transformers.SiglipConfig.from_pretrained(folder)).eval()
    model.load_state_dict(state)
    inputs = _inputs(folder, transformers.SiglipImageProcessorPil)

    def score(image: Image.Image, text: str) -> float:
        logits = model(**inputs(image, text, padding="max_length")).logits_per_image
        return float((logits - model.logit_bias) / model.logit_scale.exp())

    return score


def _align(folder: Path, state: dict[str, torch.Tensor]) -> Score:
    model = transformers.AlignModel(transformers.AlignConfig.from_pretrained(folder)).eval()
    model.load_state_dict(state)
    inputs = _inputs(folder, transformers.EfficientNetImageProcessorPil)
    padding = {"padding": "max_length", "max_length": 40}
    return lambda image, text: float(model(**inputs(image, text, **padding)).logits_per_image * model.temperature)


def _blip(folder: Path, state: dict[str, torch.Tensor]) -> Score:
    model = transformers.BlipForImageTextRetrieval(transformers.BlipConfig.from_pretrained(folder)).eval()
    model.load_state_dict(state)
    inputs = _inputs(folder, transformers.BlipImageProcessorPil, "processor_config.json")
    return lambda image, text: float(
        model(**inputs(image, text, return_token_type_ids=False), use_itm_head=False).itm_score
    )


TRANSFORMERS = {"clip": _clip, "siglip": _siglip, "align": _align, "blip": _blip}


def _open_clip(folder: Path, weights: Path) -> Score:
    """The factory's model and tokenizer, and the transform its evaluation would use."""
    model = open_clip_model(folder)
    model.load_state_dict(load_file(weights))
    stated = json.loads((folder / "open_clip_config.json").read_text())["preprocess_cfg"]
    side = model.visual.image_size
    side = side if isinstance(side, int) else side[0]
    transform = image_transform_v2(PreprocessCfg(**(stated | {"size": side})), is_train=False)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")

    def score(image: Image.Image, text: str) -> float:
        seen = model.encode_image(transform(image).unsqueeze(0), normalize=True)
        return float(seen @ model.encode_text(tokenizer([text]), normalize=True).T)

    return score
