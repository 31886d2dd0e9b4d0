"""Contrastive models of transformers: CLIP, SigLIP, ALIGN, BLIP. In: an Architecture; out: the model, and an Encoder.

Every class is named here; config.json chooses among them by model_type and names no code. How texts are padded and read
follows each model's own processor and `get_text_features`.
"""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers.initialization import no_init_weights

from evaluator.architectures.architecture import Architecture
from evaluator.encoders import local_transformers
from evaluator.encoders.choices import Precision
from evaluator.encoders.device import computing_in, is_out_of_memory
from evaluator.encoders.encoder import Normaliser, unit_length
from evaluator.errors import InputError


class Padding(StrEnum):
    """How texts of one batch get one length."""

    MASKED = "masked"  # to the longest; what is padded is masked, so that it changes nothing
    FULL = "full"  # to the whole context, unmasked: the model was trained on padded texts and reads the last place


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of model. image, text: the untouched embedding, (n, d), of pixels and of a tokenizer's tensors."""

    config: type
    model: type
    image: Callable[[Any, torch.Tensor], torch.Tensor]
    text: Callable[[Any, Mapping[str, torch.Tensor]], torch.Tensor]
    padding: Padding
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")


def _image_features(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    return model.get_image_features(pixel_values=pixels).pooler_output


def _text_features(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return model.get_text_features(**inputs).pooler_output


def _blip_image(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    return model.vision_proj(model.vision_model(pixel_values=pixels).last_hidden_state[:, 0, :])


def _blip_text(model: Any, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return model.text_proj(model.text_encoder(**inputs).last_hidden_state[:, 0, :])


KINDS = {
    "clip": Kind(
        config=transformers.CLIPConfig, model=transformers.CLIPModel, image=_image_features, text=_text_features,
        padding=Padding.MASKED,
    ),
    "siglip": Kind(  # SigLIP, and the checkpoints of SigLIP 2 that take one resolution
        config=transformers.SiglipConfig, model=transformers.SiglipModel, image=_image_features, text=_text_features,
        padding=Padding.FULL, inputs=("input_ids",),
    ),
    "align": Kind(
        config=transformers.AlignConfig, model=transformers.AlignModel, image=_image_features, text=_text_features,
        padding=Padding.MASKED, inputs=("input_ids", "attention_mask", "token_type_ids"),
    ),
    "blip": Kind(  # the cosine head of image-text retrieval; the matching head would need every pair
        config=transformers.BlipConfig, model=transformers.BlipForImageTextRetrieval, image=_blip_image,
        text=_blip_text, padding=Padding.MASKED,
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TransformersEncoder:
    """An Encoder around a contrastive model of transformers."""

    model: Any
    kind: Kind
    tokenizer: Any
    context_length: int
    normalise: Normaliser
    device: torch.device
    precision: Precision

    def encode_images(self, crops: NDArray[np.uint8]) -> torch.Tensor:
        with torch.inference_mode(), computing_in(self.precision, self.device):
            return unit_length(self.kind.image(self.model, self.normalise(crops)))

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        with torch.inference_mode(), computing_in(self.precision, self.device):
            return unit_length(self.kind.text(self.model, self._tokens(texts)))

    def n_tokens(self, text: str) -> int:
        return len(self.tokenizer(text, verbose=False)["input_ids"])

    def _tokens(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        whole = self.kind.padding is Padding.FULL
        side = {} if whole else {"padding_side": "right"}  # padding in front would move what is not padded
        found = self.tokenizer(
            list(texts), return_tensors="pt", truncation=True, max_length=self.context_length,
            padding="max_length" if whole else "longest", **side,
        )  # fmt: skip
        return {name: found[name].to(self.device) for name in self.kind.inputs if name in found}


def build_model(architecture: Architecture) -> torch.nn.Module:
    """The model of an architecture, on the default device, its weights of any value: drawing them takes many seconds.

    InputError when its config does not build.
    """
    kind = _kind_of(architecture)
    try:
        config = kind.config(**local_transformers.clean_config(architecture.config))
        with no_init_weights():
            return kind.model(config).float().eval()
    except local_transformers.CONFIG_ERRORS as error:
        if is_out_of_memory(error):
            raise
        raise local_transformers.does_not_load("config", architecture.name, error) from error


def wrap_model(
    model: torch.nn.Module, architecture: Architecture, device: torch.device, precision: Precision
) -> TransformersEncoder:
    """The Encoder around a filled model."""
    assert architecture.folder is not None
    tokenizer = local_transformers.load_tokenizer(architecture.folder, architecture.name)
    local_transformers.require_known_tokens(tokenizer, model, architecture.name)
    return TransformersEncoder(
        model=model, kind=_kind_of(architecture), device=device, precision=precision,
        tokenizer=tokenizer,
        context_length=architecture.context_length,
        normalise=Normaliser(preprocessing=architecture.preprocessing, device=device),
    )  # fmt: skip


def _kind_of(architecture: Architecture) -> Kind:
    model_type = str(architecture.config.get("model_type"))
    if model_type not in KINDS:
        message = f"{architecture.name} is of the model_type {model_type!r}; known are {', '.join(KINDS)}."
        raise InputError.single("bad_architecture_folder", message, field="architecture")
    return KINDS[model_type]
