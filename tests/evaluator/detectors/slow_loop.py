"""The definition, written the slow way with transformers' own processors: one image, one list of classes, one box at a
time."""

from pathlib import Path
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    Owlv2ForObjectDetection,
    Owlv2Processor,
    OwlViTForObjectDetection,
    OwlViTProcessor,
)

CLASSES = {"owlv2": (Owlv2ForObjectDetection, Owlv2Processor), "owlvit": (OwlViTForObjectDetection, OwlViTProcessor)}

Box = dict[str, Any]


def load(folder: Path, weights: Path) -> tuple[Any, Any]:
    """Model and processor of a folder."""
    config = AutoConfig.from_pretrained(folder)
    model_class, processor_class = CLASSES[config.model_type]
    model = model_class(config).eval()
    model.load_state_dict(load_file(weights))
    return model, processor_class.from_pretrained(folder)


def find(model: Any, processor: Any, image: Image.Image, classes: list[str]) -> list[Box]:
    """The boxes of one image, best first."""
    with torch.inference_mode():
        seen = model(**processor(text=[classes], images=image, return_tensors="pt"))
    found = processor.post_process_grounded_object_detection(
        seen, threshold=0.1, target_sizes=torch.tensor([(image.height, image.width)]), text_labels=[classes]
    )[0]
    boxes = []
    for name, score, corners in zip(found["text_labels"], found["scores"], found["boxes"].tolist(), strict=True):
        x1, y1, x2, y2 = corners
        box = {"class": name, "score": float(score), "x1": max(x1, 0.0), "y1": max(y1, 0.0),
               "x2": min(x2, float(image.width)), "y2": min(y2, float(image.height))}  # fmt: skip
        if box["x1"] < box["x2"] and box["y1"] < box["y2"]:
            boxes.append(box)
    return best_of_each_thing(boxes)


def best_of_each_thing(boxes: list[Box], overlap_above: float = 0.3) -> list[Box]:
    """A box stays unless a better one of its class that stays covers it; best first."""
    stays: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box["score"]):
        if all(box["class"] != other["class"] or overlap(box, other) <= overlap_above for other in stays):
            stays.append(box)
    return stays


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    width = min(a["x2"], b["x2"]) - max(a["x1"], b["x1"])
    height = min(a["y2"], b["y2"]) - max(a["y1"], b["y1"])
    shared = max(width, 0.0) * max(height, 0.0)
    area_a, area_b = ((box["x2"] - box["x1"]) * (box["y2"] - box["y1"]) for box in (a, b))
    return shared / (area_a + area_b - shared)
