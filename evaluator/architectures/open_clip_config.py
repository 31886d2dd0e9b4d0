"""open_clip's model configs, read without open_clip. In: JSON; out: Architecture. Torch-free."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from evaluator.architectures.architecture import Architecture, Family, Preprocessing
from evaluator.errors import InputError

DEFAULT_CONTEXT_LENGTH, DEFAULT_IMAGE_PX = 77, 224
PREPROCESS_FIELDS = ("mean", "std", "interpolation", "resize_mode")


def read_config(path: Path) -> Architecture:
    """The Architecture of a config file for local use. InputError `bad_architecture_file`."""
    config, preprocess = read_model_config(path)
    if needs_download(config):
        _refuse_config(f"{path} has a text tower or tokenizer from a model hub; only open_clip's own are supported.")
    return describe(path.stem, config, preprocessing=read_preprocessing(preprocess))


def read_model_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """model_cfg and preprocess_cfg of an open_clip_config.json, or a bare model config and nothing.

    InputError `bad_architecture_file`.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        _refuse_config(f"{path} cannot be read: {error.strerror}.")
    except ValueError:
        _refuse_config(f"{path} is not JSON.")
    if not isinstance(content, dict):
        _refuse_config(f"{path} is not a JSON object.")
    config, preprocess = content.get("model_cfg", content), content.get("preprocess_cfg", {})
    parts = [config.get(part) if isinstance(config, dict) else None for part in ("vision_cfg", "text_cfg")]
    if not all(isinstance(part, dict) for part in parts) or "embed_dim" not in config:
        _refuse_config(f"{path} is no open_clip model config: it needs embed_dim, vision_cfg and text_cfg.")
    if not isinstance(preprocess, dict):
        _refuse_config(f"{path} has a preprocess_cfg that is not a JSON object.")
    return config, preprocess


def read_preprocessing(values: Mapping[str, Any]) -> Preprocessing:
    """The known fields of an open_clip preprocess_cfg; what it does not state is CLIP's."""
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value := values[name], list) else value
        for name in PREPROCESS_FIELDS
        if values.get(name)
    }
    return Preprocessing(**known)


def _refuse_config(message: str) -> NoReturn:
    raise InputError.single("bad_architecture_file", message, field="architecture")


def needs_download(config: Mapping[str, Any]) -> bool:
    """Whether open_clip would fetch a text tower or tokenizer for this config, or has no tokenizer that fits it."""
    text = config["text_cfg"]
    vocabulary = text.get("vocab_size", 49408)
    return "hf_model_name" in text or "hf_tokenizer_name" in text or vocabulary != 49408


def text_config_of(folder: Path) -> Path:
    """The config of a text tower of transformers: text_config.json, or config.json where there is none."""
    own = folder / "text_config.json"
    return own if own.is_file() else folder / "config.json"


def describe(
    name: str,
    config: Mapping[str, Any],
    *,
    preprocessing: Preprocessing,
    image_px: int | None = None,
    parameters: int | None = None,
    twin: str | None = None,
) -> Architecture:
    """The Architecture of an open_clip model config; `image_px` defaults to what the config says."""
    activation = "QuickGELU" if config.get("quick_gelu") else "GELU"
    if "timm_model_name" in config["vision_cfg"]:
        activation += " (text tower; the image tower has its own)"
    return Architecture(
        name=name, family=Family.CONTRASTIVE, parameters=parameters, config=config, activation=activation, twin=twin,
        image_px=image_px or config["vision_cfg"].get("image_size", DEFAULT_IMAGE_PX),
        context_length=config["text_cfg"].get("context_length", DEFAULT_CONTEXT_LENGTH), preprocessing=preprocessing,
    )  # fmt: skip
