"""Writes facts.json from the installed open_clip and our own configs: `python -m evaluator.architectures.freeze`.

Run it when open_clip is updated or a config is added; the diff of facts.json is what changed for submitters.
"""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import json
from collections import Counter
from typing import Any

import open_clip
import torch
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

from evaluator.architectures.architecture import Family, Preprocessing
from evaluator.architectures.open_clip_config import PREPROCESS_FIELDS, describe, needs_download, read_preprocessing
from evaluator.architectures.registry import FACTS, OWN_CONFIGS
from evaluator.encoders.open_clip import build_model


def built_in_configs() -> dict[str, dict[str, Any]]:
    """open_clip's own configs that build without a download."""
    configs = {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
    return {name: config for name, config in configs.items() if not needs_download(config)}


def usual_preprocessing(name: str) -> Preprocessing:
    """What most of open_clip's published weights of this architecture use; CLIP's where there are none."""
    tags = [get_pretrained_cfg(name, tag) for tag in list_pretrained_tags_by_model(name)]
    known = [read_preprocessing(tag) for tag in tags]
    return Counter(known).most_common(1)[0][0] if known else Preprocessing()


def facts_of(name: str, config: dict[str, Any], preprocessing: Preprocessing) -> dict[str, Any]:
    """One entry of facts.json, without the config."""
    with torch.device("meta"):
        model = build_model(describe(name, config, preprocessing=preprocessing))
    image_px: Any = model.get_submodule(
        "visual"
    ).image_size  # what the tower was built for, which a timm config may state elsewhere
    return {
        "family": Family.CONTRASTIVE.value,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "image_px": image_px if isinstance(image_px, int) else image_px[0],
        "preprocessing": {field: getattr(preprocessing, field) for field in PREPROCESS_FIELDS},
    }


def main() -> None:
    """Rewrite facts.json."""
    found = {}
    for name, config in built_in_configs().items():
        found[name] = {**facts_of(name, config, usual_preprocessing(name)), "config": config}
    for path in OWN_CONFIGS.glob("*.json"):
        found[path.stem] = facts_of(path.stem, json.loads(path.read_text(encoding="utf-8")), Preprocessing())
    content = {"open_clip": open_clip.__version__, "architectures": dict(sorted(found.items()))}
    FACTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
