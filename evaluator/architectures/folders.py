"""Architectures that organisers place as folders. In: the files of one folder; out: Architecture. Torch-free.

UBENCH_ARCHITECTURES names a folder; each folder in it is an architecture of that name, read anew each time: adding one
needs no deploy. Its files come from organisers, never from submitters, and hold data only: no code, no weights.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evaluator.architectures import open_clip_config
from evaluator.architectures.architecture import PROCESSOR, Architecture, Family, Library, Preprocessing
from evaluator.architectures.description import Description, read_description, read_preprocess_cfg
from evaluator.architectures.processor_config import CODE, FIELD, read_processor
from evaluator.errors import InputError, ProblemLog

ENVIRONMENT = "UBENCH_ARCHITECTURES"
DESCRIPTION, CONFIG, OPEN_CLIP_CONFIG = "architecture.json", "config.json", "open_clip_config.json"
PREPROCESSOR, PROCESSOR_CONFIG, TOKENIZER_CONFIG = (
    "preprocessor_config.json", "processor_config.json", "tokenizer_config.json",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
REFUSED = {".py", ".pyc", ".so", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".h5", ".msgpack"}
TOKENIZERS = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"), ("spiece.model",))
SANE_LENGTH = 1_000_000  # tokenizers without a limit state 10 to the power of 30
ACTIVATIONS = {"quick_gelu": "QuickGELU", "gelu": "GELU", "gelu_new": "GELU (tanh)", "silu": "SiLU", "swish": "SiLU",
               "gelu_pytorch_tanh": "GELU (tanh)", "relu": "ReLU"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Usual:
    """What a config of this model type means where it says nothing. resizable: its image tower takes other sizes."""

    image_px: int
    context_length: int
    image_activation: str
    text_activation: str
    resizable: bool = False


# The contrastive models of transformers that can be loaded, by the model_type of their config.json.
CONTRASTIVE_TYPES = {
    "clip": Usual(image_px=224, context_length=77, image_activation="quick_gelu", text_activation="quick_gelu"),
    "siglip": Usual(
        image_px=224, context_length=64, image_activation="gelu_pytorch_tanh", text_activation="gelu_pytorch_tanh"
    ),
    "align": Usual(
        image_px=600, context_length=512, image_activation="swish", text_activation="gelu", resizable=True
    ),
    "blip": Usual(image_px=384, context_length=512, image_activation="gelu", text_activation="gelu"),
}  # fmt: skip
TEXT_TOWERS = ("bert", "roberta", "xlm-roberta")  # what a text tower within open_clip may be
REFUSED_TYPES = {"siglip2": "SigLIP 2 of the NaFlex kind lays out images in another way; the fixed-resolution "
                            "checkpoints have the model_type siglip."}  # fmt: skip


def placed() -> tuple[dict[str, Architecture], dict[str, InputError]]:
    """The good architectures by name, and what is wrong with the others by the name of their folder."""
    root = _root()
    if root is None:
        return {}, {}
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        message = f"{root} ({ENVIRONMENT}) cannot be read: {error.strerror}."
        return {}, {str(root): InputError.single(CODE, message, field=FIELD)}
    good, broken = {}, {}
    for folder in folders:
        try:
            good[folder.name] = read_folder(folder)
        except InputError as error:
            broken[folder.name] = error
    return good, broken


def find_placed(name: str) -> Architecture | None:
    """The architecture of this name, None where there is no such folder. InputError for a broken one."""
    root = _root()
    if root is None or not NAME.fullmatch(name):
        return None
    try:
        there = (root / name).is_dir()
    except OSError:  # a root that this account may not look into; the list says so
        return None
    return read_folder(root / name) if there else None


def read_folder(folder: Path) -> Architecture:
    """What a folder becomes. InputError `bad_architecture_folder` with every problem of the first failing stage."""
    try:
        return _read_folder(folder)
    except OSError as error:  # a folder or file that this account may not look into
        message = f"{error.filename or folder} cannot be read: {error.strerror}."
        raise InputError.single(CODE, message, field=FIELD) from error


def _read_folder(folder: Path) -> Architecture:
    log = ProblemLog()
    _check_files(folder, log)
    content = _read_object(folder / DESCRIPTION, log)
    description = None if content is None else read_description(content, log)
    log.raise_if_any()
    assert description is not None
    read = _from_open_clip if description.library is Library.OPEN_CLIP else _from_transformers
    found = read(folder, description, log)
    log.raise_if_any()
    assert found is not None
    return replace(
        found, parameters=description.parameters, twin=description.twin, notes=description.notes,
        image_px=description.image_px or found.image_px, activation=description.activation or found.activation,
        context_length=description.context_length or found.context_length,
        preprocessing=replace(found.preprocessing, **description.preprocessing),
    )  # fmt: skip


def _root() -> Path | None:
    named = os.environ.get(ENVIRONMENT, "")
    return Path(named) if named else None


def _check_files(folder: Path, log: ProblemLog) -> None:
    if not NAME.fullmatch(folder.name) or folder.name.endswith(".json"):
        log.add(CODE, f"{folder.name[:100]!r} cannot name an architecture: letters, digits, '.', '_' and '-' only, "
                      "100 at most, not ending in .json.", field=FIELD)  # fmt: skip
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in REFUSED:
            log.add(CODE, f"{path.relative_to(folder)} is code or weights; a folder holds configs and tokenizer files "
                          "only. Remove it.", field=FIELD)  # fmt: skip
        elif path.suffix == ".json" and path.name.endswith("config.json"):
            content = _read_object(path, log)
            if content is not None and _has_auto_map(content):
                log.add(CODE, f"{path.relative_to(folder)} has an auto_map, which asks for code from a model hub; only "
                              "classes of the installed libraries are used.", field=FIELD)  # fmt: skip


def _has_auto_map(content: Mapping[str, Any]) -> bool:
    parts = [content, *(value for value in content.values() if isinstance(value, dict))]
    return any("auto_map" in part for part in parts)


def _read_object(path: Path, log: ProblemLog) -> dict[str, Any] | None:
    """The JSON object in a file; None when `log` says why not."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        log.add(CODE, f"{path.name} is missing.", field=FIELD)
    except OSError as error:
        log.add(CODE, f"{path.name} cannot be read: {error.strerror}.", field=FIELD)
    except (ValueError, RecursionError):
        log.add(CODE, f"{path.name} is not JSON.", field=FIELD)
    else:
        if isinstance(content, dict):
            return content
        log.add(CODE, f"{path.name} is not a JSON object.", field=FIELD)
    return None


def _from_open_clip(folder: Path, description: Description, log: ProblemLog) -> Architecture | None:
    if description.family is not Family.CONTRASTIVE:
        log.add(CODE, f"open_clip has contrastive models only, not {description.family} ones.", field=FIELD)
        return None
    try:
        config, preprocess = open_clip_config.read_model_config(folder / OPEN_CLIP_CONFIG)
    except InputError as error:
        log.add(CODE, error.problems[0].message, field=FIELD)
        return None
    if "hf_model_name" in config["text_cfg"]:
        _check_text_tower(folder, log)
    if open_clip_config.needs_download(config):
        _check_tokenizer(folder, log)
    image_px = _number(config["vision_cfg"].get("image_size", open_clip_config.DEFAULT_IMAGE_PX))
    context = config["text_cfg"].get("context_length", open_clip_config.DEFAULT_CONTEXT_LENGTH)
    if image_px is None and description.image_px is None:
        log.add(CODE, f"{OPEN_CLIP_CONFIG} has an image_size that is no whole number; only squares are known.",
                field=FIELD)  # fmt: skip
    if _number(context) is None or (description.context_length or 0) > context:
        log.add(CODE, f"The text tower has the context_length {context!r}, {DESCRIPTION} {description.context_length}.",
                field=FIELD)  # fmt: skip
    architecture = open_clip_config.describe(
        folder.name, config, preprocessing=read_preprocess_cfg(preprocess, log, OPEN_CLIP_CONFIG), image_px=image_px
    )
    return replace(architecture, folder=folder)


def _check_text_tower(folder: Path, log: ProblemLog) -> None:
    path = open_clip_config.text_config_of(folder)
    if not path.is_file():
        log.add(CODE, "The text tower is one of transformers: put its config.json beside, as text_config.json.",
                field=FIELD)  # fmt: skip
        return
    found = (_read_object(path, log) or {}).get("model_type")
    if found not in TEXT_TOWERS:
        log.add(CODE, f"{path.name} has the model_type {str(found)[:60]!r}; text towers for open_clip are "
                      f"{', '.join(TEXT_TOWERS)}.", field=FIELD)  # fmt: skip


def _from_transformers(folder: Path, description: Description, log: ProblemLog) -> Architecture | None:
    config = _read_object(folder / CONFIG, log)
    if config is None:
        return None
    if description.family is not Family.DETECTOR or any((folder / files[0]).is_file() for files in TOKENIZERS):
        _check_tokenizer(folder, log)
    if description.family is Family.CONTRASTIVE:
        return _contrastive(folder, description, config, log)
    if not (folder / PREPROCESSOR).is_file() and not (folder / PROCESSOR_CONFIG).is_file():
        log.add(CODE, f"{PREPROCESSOR} or {PROCESSOR_CONFIG} is missing.", field=FIELD)
    text, image = _part(config, "text_config"), _part(config, "vision_config")
    image_px = description.image_px or _number(image.get("image_size"))
    context = description.context_length or _number(
        text.get("max_position_embeddings", config.get("max_position_embeddings"))
    )
    for what, found in (("image_px", image_px), ("context_length", context)):
        if found is None:
            log.add(CODE, f"{CONFIG} does not say {what}; state it in {DESCRIPTION}.", field=FIELD)
    act = text.get("hidden_act") or text.get("hidden_activation") or config.get("hidden_act")
    return Architecture(
        name=folder.name, family=description.family, library=Library.TRANSFORMERS, parameters=None, folder=folder,
        config=config, image_px=image_px or 0, context_length=context or 0,
        activation=ACTIVATIONS.get(str(act), str(act)) if act else "its class's own",
        preprocessing=Preprocessing(resize_mode=PROCESSOR),
    )  # fmt: skip


def _contrastive(
    folder: Path, description: Description, config: dict[str, Any], log: ProblemLog
) -> Architecture | None:
    model_type = str(config.get("model_type"))
    usual = CONTRASTIVE_TYPES.get(model_type)
    if usual is None:
        reason = REFUSED_TYPES.get(model_type, f"Known are {', '.join(CONTRASTIVE_TYPES)}.")
        log.add(CODE, f"{CONFIG} has the model_type {model_type[:60]!r}. {reason}", field=FIELD)
        return None
    text, image = _part(config, "text_config"), _part(config, "vision_config")
    preprocessing, side = _preprocessing(folder, log) or (Preprocessing(), None)
    tower_px = _number(image.get("image_size", usual.image_px))
    side = description.image_px or side
    if tower_px is None:
        log.add(CODE, f"{CONFIG} has the image_size {image.get('image_size')!r}; only squares are known.", field=FIELD)
    elif side is not None and side != tower_px and not usual.resizable:
        log.add(CODE, f"The image processor gives {side} px, the image tower takes {tower_px} px: the folder's files "
                      "do not belong together.", field=FIELD)  # fmt: skip
    positions = _number(text.get("max_position_embeddings", usual.context_length))
    if positions is None or (description.context_length or 0) > positions:
        log.add(CODE, f"The text tower has {positions} positions, context_length is {description.context_length}.",
                field=FIELD)  # fmt: skip
    return Architecture(
        name=folder.name, family=Family.CONTRASTIVE, library=Library.TRANSFORMERS, parameters=None, folder=folder,
        config=config, image_px=side or 0, context_length=min(positions or 0, _tokenizer_limit(folder)),
        activation=_activation(text.get("hidden_act", usual.text_activation),
                               image.get("hidden_act", usual.image_activation)),
        preprocessing=preprocessing,
    )  # fmt: skip


def _preprocessing(folder: Path, log: ProblemLog) -> tuple[Preprocessing, int] | None:
    """From preprocessor_config.json, or from where newer versions save it within processor_config.json."""
    name = PREPROCESSOR if (folder / PREPROCESSOR).is_file() or not (folder / PROCESSOR_CONFIG).is_file() else ""
    values = _read_object(folder / (name or PROCESSOR_CONFIG), log)
    if values is not None and not name:
        values = values.get("image_processor")
        if not isinstance(values, dict):
            log.add(CODE, f"{PREPROCESSOR} is missing, and {PROCESSOR_CONFIG} has no image_processor.", field=FIELD)
            return None
    return None if values is None else read_processor(values, log, name or PROCESSOR_CONFIG)


def _check_tokenizer(folder: Path, log: ProblemLog) -> None:
    if not any(all((folder / file).is_file() for file in files) for files in TOKENIZERS):
        log.add(CODE, "The tokenizer is missing: put tokenizer.json there, as save_pretrained of transformers writes "
                      "it.", field=FIELD)  # fmt: skip


def _tokenizer_limit(folder: Path) -> int:
    """model_max_length, or no limit. A tokenizer_config.json that is not JSON is already in the log."""
    content = _read_object(folder / TOKENIZER_CONFIG, ProblemLog()) or {}
    limit = _number(content.get("model_max_length"))
    return limit if limit is not None and limit < SANE_LENGTH else SANE_LENGTH


def _activation(text: object, image: object) -> str:
    shown = [ACTIVATIONS.get(str(name), str(name)) for name in (text, image)]
    return shown[0] if shown[0] == shown[1] else f"{shown[0]} (text), {shown[1]} (image)"


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, dict) else {}


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
