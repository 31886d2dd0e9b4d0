"""The architectures a checkpoint may name. In: facts.json and architectures/*.json; out: Architecture. Torch-free.

The list is frozen: open_clip's built-in configs whose towers need no download, copied into facts.json, and our own
configs. Nothing a submitter writes reaches a loader. `python -m evaluator.encoders.freeze` writes facts.json anew.
"""

import json
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from evaluator.encoders.architecture import Architecture, Family, Preprocessing
from evaluator.errors import InputError

FOLDER = Path(__file__).parent
FACTS = FOLDER / "facts.json"
OWN_CONFIGS = FOLDER / "architectures"
DEFAULT_CONTEXT_LENGTH = 77


def list_architectures() -> list[Architecture]:
    """Every registered architecture, by name (upper and lower case alike)."""
    return sorted(_registered().values(), key=lambda architecture: architecture.name.lower())


def get_architecture(name: str) -> Architecture:
    """The registered architecture of exactly this name. InputError `unknown_architecture` names near misses."""
    try:
        return _registered()[name]
    except KeyError:
        lowered = {known.lower(): known for known in _registered()}
        near = [lowered[match] for match in get_close_matches(name[:80].lower(), lowered, n=3, cutoff=0.5)]
        hint = f" Did you mean {' or '.join(near)}?" if near else " See the list of architectures."
        message = f"No architecture is called {ascii(name[:80])}.{hint}"
        raise InputError.single("unknown_architecture", message, field="architecture") from None


def find_architecture(name_or_file: str) -> Architecture:
    """A registered name, or (local use only) the path of a JSON file holding an open_clip model config."""
    return read_config(Path(name_or_file)) if name_or_file.endswith(".json") else get_architecture(name_or_file)


def read_config(path: Path) -> Architecture:
    """An open_clip model config, bare or as `model_cfg` (+ `preprocess_cfg`) of an open_clip_config.json."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        _refuse_config(f"{path} cannot be read: {error.strerror}.")
    except ValueError:
        _refuse_config(f"{path} is not JSON.")
    if not isinstance(content, dict):
        _refuse_config(f"{path} is not a JSON object.")
    config = content.get("model_cfg", content)
    parts = [config.get(part) if isinstance(config, dict) else None for part in ("vision_cfg", "text_cfg")]
    if not all(isinstance(part, dict) for part in parts) or "embed_dim" not in config:
        _refuse_config(f"{path} is no open_clip model config: it needs embed_dim, vision_cfg and text_cfg.")
    if needs_download(config):
        _refuse_config(f"{path} has a text tower or tokenizer from a model hub; only open_clip's own are supported.")
    return describe(path.stem, config, preprocessing=read_preprocessing(content.get("preprocess_cfg", {})))


def read_preprocessing(values: Mapping[str, Any]) -> Preprocessing:
    """The known fields of an open_clip preprocess_cfg; what it does not state is CLIP's."""
    known: dict[str, Any] = {
        field.name: tuple(value) if isinstance(value := values[field.name], list) else value
        for field in fields(Preprocessing)
        if values.get(field.name)
    }
    return Preprocessing(**known)


def _refuse_config(message: str) -> None:
    raise InputError.single("bad_architecture_file", message, field="architecture")


def needs_download(config: Mapping[str, Any]) -> bool:
    """Whether open_clip would fetch a text tower or tokenizer for this config, or has no tokenizer that fits it."""
    text = config["text_cfg"]
    vocabulary = text.get("vocab_size", 49408)
    return "hf_model_name" in text or "hf_tokenizer_name" in text or vocabulary != 49408


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
        image_px=image_px or config["vision_cfg"].get("image_size", 224),
        context_length=config["text_cfg"].get("context_length", DEFAULT_CONTEXT_LENGTH), preprocessing=preprocessing,
    )  # fmt: skip


@cache
def _registered() -> dict[str, Architecture]:
    facts = json.loads(FACTS.read_text(encoding="utf-8"))["architectures"]
    found = {}
    for name, fact in facts.items():
        config = fact.get("config") or json.loads((OWN_CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
        other = name.removesuffix("-quickgelu") if name.endswith("-quickgelu") else f"{name}-quickgelu"
        found[name] = describe(
            name,
            config,
            preprocessing=read_preprocessing(fact["preprocessing"]),
            image_px=fact["image_px"],
            parameters=fact["parameters"],
            twin=other if other in facts else None,
        )
    return found
