"""Detectors of transformers' OWL kind: OWLv2, OWL-ViT. In: an Architecture; out: the model, a Detector around it.

The architecture's folder holds config.json, preprocessor_config.json and the tokenizer's files; nothing is fetched, and
no code but the installed library's runs.
"""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoTokenizer,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
)

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.processor_config import CODE, FIELD
from evaluator.detectors.detector import Places
from evaluator.encoders.choices import Precision
from evaluator.encoders.device import computing_in, is_out_of_memory
from evaluator.encoders.local_transformers import require_known_tokens
from evaluator.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The classes of one model type. `pads`: its images are padded to a square, at the right and the bottom."""

    config: Any
    model: Any
    images: Any
    pads: bool


KINDS = {
    "owlv2": Kind(config=Owlv2Config, model=Owlv2ForObjectDetection, images=Owlv2ImageProcessor, pads=True),
    "owlvit": Kind(config=OwlViTConfig, model=OwlViTForObjectDetection, images=OwlViTImageProcessor, pads=False),
}


@dataclass(frozen=True, kw_only=True)
class OwlDetector:
    """A Detector around a model of the OWL kind."""

    model: Any  # the two classes share no base that declares these methods
    pads: bool
    image_processor: Any
    tokenizer: Any
    context_length: int
    device: torch.device
    precision: Precision

    @property
    def n_places(self) -> int:
        return int(self.model.num_patches_height * self.model.num_patches_width)

    def n_tokens(self, text: str) -> int:
        return len(self.tokenizer(text).input_ids)

    def embed_prompts(self, prompts: Sequence[str]) -> torch.Tensor:
        tokens = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=self.context_length, return_tensors="pt"
        ).to(self.device)
        towers = getattr(self.model, self.model.base_model_prefix)
        with torch.inference_mode(), computing_in(self.precision, self.device):
            embedded = towers.get_text_features(tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
            return embedded / torch.linalg.norm(embedded, dim=-1, keepdim=True)

    def look(self, images: Sequence[Image.Image], queries: Sequence[torch.Tensor]) -> list[Places]:
        # One by one: a resized image must not depend on what else is in its batch.
        pixels = torch.cat([self.image_processor(image, return_tensors="pt").pixel_values for image in images])
        with torch.inference_mode(), computing_in(self.precision, self.device):
            grid, _ = self.model.image_embedder(pixels.to(self.device))
            seen = grid.flatten(1, 2)
            boxes = self.model.box_predictor(seen, grid).float().cpu().numpy()
            logits = [
                self.model.class_predictor(one[None], query[None])[0][0].float().cpu().numpy()
                for one, query in zip(seen, queries, strict=True)
            ]
        return [
            Places(boxes=_corners(box) * self._pixels(image), logits=logit)
            for image, box, logit in zip(images, boxes, logits, strict=True)
        ]

    def _pixels(self, image: Image.Image) -> np.ndarray:
        """What the sides of the model's square are in pixels of the stored image: (width, height, width, height)."""
        size = (max(image.size),) * 2 if self.pads else image.size
        return np.tile(size, 2).astype(np.float32)


def build_model(architecture: Architecture) -> torch.nn.Module:
    """The untrained model of an architecture, on the default device. InputError when its config does not build."""
    try:
        kind = KINDS[architecture.config["model_type"]]
        config = kind.config.from_dict(dict(architecture.config), attn_implementation="sdpa")
        return kind.model(config).eval()
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # organisers wrote it
        if is_out_of_memory(error):
            raise
        message = f"transformers cannot build {architecture.name}: {error!r}"
        raise InputError.single(CODE, message, field=FIELD) from error


def wrap_model(
    model: torch.nn.Module, architecture: Architecture, device: torch.device, precision: Precision
) -> OwlDetector:
    """The Detector around a filled model. InputError when the architecture's folder lacks its processor."""
    kind = KINDS[architecture.config["model_type"]]
    try:
        if architecture.folder is None:
            raise ValueError("it has no folder")
        image_processor = kind.images.from_pretrained(architecture.folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(  # nosec B615: a local folder, and nothing else
            architecture.folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"The image processor or tokenizer of {architecture.name} cannot be read: {error!r}"
        raise InputError.single(CODE, message, field=FIELD) from error
    require_known_tokens(tokenizer, model, architecture.name)
    return OwlDetector(
        model=model, pads=kind.pads, image_processor=image_processor, tokenizer=tokenizer, device=device,
        precision=precision, context_length=architecture.context_length,
    )  # fmt: skip


def _corners(boxes: np.ndarray) -> np.ndarray:
    """(n, 4) centre x, centre y, width, height → x1, y1, x2, y2."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=1)
