"""Contrastive models of open_clip's kind. In: an Architecture; out: the model, and an Encoder around it."""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
from collections.abc import Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.tokenizer import HFTokenizer

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.open_clip_config import text_config_of
from evaluator.encoders.choices import Precision
from evaluator.encoders.device import computing_in, is_out_of_memory
from evaluator.encoders.encoder import Normaliser, unit_length
from evaluator.encoders.trimming import encode_text
from evaluator.errors import InputError

KEPT_TEXTS = 50_000  # tokenised; a few hundred bytes each


@dataclass(frozen=True, kw_only=True)
class OpenClipEncoder:
    """An Encoder around a model of open_clip."""

    model: Any  # open_clip's classes share no base that declares encode_image and encode_text
    tokenizer: Any  # open_clip's SimpleTokenizer or HFTokenizer
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
        if isinstance(self.tokenizer, open_clip.SimpleTokenizer):
            return len(self.tokenizer.encode(text)) + 2
        return len(self.tokenizer.tokenizer(self.tokenizer.clean_fn(text), verbose=False).input_ids)


def build_model(architecture: Architecture) -> torch.nn.Module:
    """The untrained model of an architecture, on the default device. InputError when its config does not build."""
    config = deepcopy(dict(architecture.config))
    config["vision_cfg"]["timm_model_pretrained"] = False
    is_custom = config.pop("custom_text", False)
    if "hf_model_name" in config["text_cfg"]:
        assert architecture.folder is not None
        # A file, so that nothing is looked up; its weights come with the checkpoint.
        config["text_cfg"] |= {"hf_model_name": str(text_config_of(architecture.folder)), "hf_model_pretrained": False}
        is_custom = True
    if "multimodal_cfg" in config:
        model_class = open_clip.CoCa
    else:
        model_class = open_clip.CustomTextCLIP if is_custom else open_clip.CLIP
    try:
        return model_class(**config).float().eval()  # a transformers config may ask for another type
    except _config_errors(architecture) as error:  # only a local config file can be wrong
        if is_out_of_memory(error):
            raise
        message = f"open_clip cannot build {architecture.name}: {error}"
        raise InputError.single("bad_architecture_file", message, field="architecture") from error


def _config_errors(architecture: Architecture) -> tuple[type[BaseException], ...]:
    """What a config that fits no class raises. transformers, which takes a second to import, is asked about folders."""
    if architecture.folder is None:
        return TypeError, ValueError, RuntimeError, AssertionError
    from evaluator.encoders.local_transformers import CONFIG_ERRORS

    return *CONFIG_ERRORS, OSError, ImportError


def wrap_model(
    model: torch.nn.Module, architecture: Architecture, device: torch.device, precision: Precision
) -> OpenClipEncoder:
    """The Encoder around a filled model."""
    return OpenClipEncoder(
        model=model, device=device, precision=precision, tokenizer=_tokenizer_of(architecture),
        normalise=Normaliser(preprocessing=architecture.preprocessing, device=device),
    )  # fmt: skip


@cache
def _default_tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer()  # reads 49,000 pairs: half a second


def _simple_tokenizer(context_length: int, options: dict[str, Any]) -> open_clip.SimpleTokenizer:
    found = open_clip.SimpleTokenizer(**options) if options else copy(_default_tokenizer())
    found.context_length = context_length
    found.encode = lru_cache(KEPT_TEXTS)(found.encode)  # asked for a text's length first, then for its tokens
    return found


def _tokenizer_of(architecture: Architecture) -> Any:
    """open_clip's own, or transformers' from the architecture's folder. What is cut off is cut by its rule."""
    text = architecture.config["text_cfg"]
    options = text.get("tokenizer_kwargs") or {}
    if not text.get("hf_tokenizer_name"):
        return _simple_tokenizer(architecture.context_length, options)
    from evaluator.encoders.local_transformers import does_not_load

    try:
        return HFTokenizer(
            str(architecture.folder), context_length=architecture.context_length,
            tokenizer_mode=text.get("tokenizer_mode"), local_files_only=True, trust_remote_code=False, **options,
        )  # fmt: skip
    except _config_errors(architecture) as error:
        raise does_not_load("tokenizer", architecture.name, error) from error
