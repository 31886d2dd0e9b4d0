"""Contrastive models of open_clip's kind. In: an Architecture; out: the model, and an Encoder around it."""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray

from evaluator.encoders.architecture import Architecture
from evaluator.encoders.choices import Precision
from evaluator.encoders.device import computing_in
from evaluator.encoders.encoder import Normaliser, unit_length
from evaluator.encoders.trimming import encode_text
from evaluator.errors import InputError


@dataclass(frozen=True, kw_only=True)
class OpenClipEncoder:
    """An Encoder around a model of open_clip."""

    model: Any  # open_clip's classes share no base that declares encode_image and encode_text
    tokenizer: open_clip.SimpleTokenizer
    normalise: Normaliser
    device: torch.device
    precision: Precision

    def encode_images(self, crops: NDArray[np.uint8]) -> torch.Tensor:
        with torch.inference_mode(), computing_in(self.precision, self.device):
            embedded = self.model.encode_image(self.normalise(crops))
        return unit_length(embedded)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        with torch.inference_mode(), computing_in(self.precision, self.device):
            embedded = encode_text(self.model, self.tokenizer(list(texts)).to(self.device))
        return unit_length(embedded)

    @property
    def context_length(self) -> int:
        return int(self.tokenizer.context_length)

    def n_tokens(self, text: str) -> int:
        return len(self.tokenizer.encode(text)) + 2


def build_model(architecture: Architecture) -> torch.nn.Module:
    """The untrained model of an architecture, on the default device. InputError when its config does not build."""
    config = deepcopy(dict(architecture.config))
    config["vision_cfg"]["timm_model_pretrained"] = False
    is_custom = config.pop("custom_text", False)
    if "multimodal_cfg" in config:
        model_class = open_clip.CoCa
    else:
        model_class = open_clip.CustomTextCLIP if is_custom else open_clip.CLIP
    try:
        return model_class(**config).eval()
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:  # only a local config file can be wrong
        message = f"open_clip cannot build {architecture.name}: {error}"
        raise InputError.single("bad_architecture_file", message, field="architecture") from error


def wrap_model(
    model: torch.nn.Module, architecture: Architecture, device: torch.device, precision: Precision
) -> OpenClipEncoder:
    """The Encoder around a filled model."""
    text = architecture.config["text_cfg"]
    return OpenClipEncoder(
        model=model, device=device, precision=precision,
        tokenizer=open_clip.SimpleTokenizer(
            context_length=architecture.context_length, **text.get("tokenizer_kwargs") or {}
        ),
        normalise=Normaliser(preprocessing=architecture.preprocessing, device=device),
    )  # fmt: skip
