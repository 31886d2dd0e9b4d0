"""The definition, written the slow way with open_clip alone: one image, one question, one text at a time."""

from pathlib import Path
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import open_clip
import pyarrow as pa
import torch
from PIL import Image

from evaluator.architectures.registry import OWN_CONFIGS
from tests.builders.weights import TINY


def load(weights: Path) -> tuple[torch.nn.Module, Any, Any]:
    """Model, transform and tokenizer by open_clip's own loaders."""
    open_clip.add_model_config(OWN_CONFIGS / f"{TINY}.json")
    model, _, transform = open_clip.create_model_and_transforms(TINY, pretrained=str(weights))
    return model.eval(), transform, open_clip.get_tokenizer(TINY)


def answer_one(
    model: torch.nn.Module, transform: Any, tokenizer: Any, image: Path, texts: list[str], *, together: bool = False
) -> list[float]:
    """Cosines of one image with every text; `together` embeds the texts of the question in one batch."""
    with torch.inference_mode():
        embedded = model.encode_image(transform(Image.open(image).convert("RGB")).unsqueeze(0), normalize=True)
        if together:
            return (model.encode_text(tokenizer(texts), normalize=True) @ embedded[0]).tolist()
        return [float(embedded @ model.encode_text(tokenizer([text]), normalize=True).T) for text in texts]


def option_texts(row: dict[str, Any]) -> list[str]:
    """The texts of a row: captions as they are, the question form with its question before each option."""
    return [option if row["variant"] is not None else f"{row['text']} {option}" for option in row["options"]]


def answer_all(weights: Path, release: Path, items: pa.Table, rows: list[dict[str, Any]]) -> list[list[float]]:
    """Scores of every row."""
    model, transform, tokenizer = load(weights)
    files = {(item["dataset"], item["image_id"]): item["file"] for item in items.to_pylist()}
    return [
        answer_one(model, transform, tokenizer, release / files[row["dataset"], row["image_id"]], option_texts(row))
        for row in rows
    ]
