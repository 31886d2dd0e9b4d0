"""Contrastive models of open_clip's kind. In: an Architecture and a file of weights; out: an Encoder. Fetches nothing.

Models are built from the registry's config and filled by our own exact load. open_clip's own loaders, which resize
embeddings, convert foreign layouts and unpickle, are never called.
"""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from evaluator.encoders.choices import Precision
from evaluator.encoders.device import computing_in
from evaluator.encoders.registry import Architecture
from evaluator.encoders.trimming import encode_text
from evaluator.errors import InputError
from evaluator.weights.checkpoint import Checkpoint
from evaluator.weights.header import Header
from evaluator.weights.keys import KeyMatch, match_keys
from evaluator.weights.tensors import map_tensors


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The tensors an architecture wants: name → shape, and the groups of names that share one tensor."""

    shapes: dict[str, tuple[int, ...]]
    tied: tuple[frozenset[str], ...]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A loaded model with what belongs to it. Embeddings are float32, unit length, (n, d), on the CPU.

    A model whose numbers overflow gives NaN embeddings here; who asked must look.
    """

    model: Any  # open_clip's classes share no base that declares encode_image and encode_text
    tokenizer: open_clip.SimpleTokenizer
    preprocess: Callable[[Image.Image], torch.Tensor]  # RGB image → (3, image_px, image_px) float32
    device: torch.device
    precision: Precision

    def encode_images(self, images: Sequence[torch.Tensor]) -> torch.Tensor:
        """Embed one batch of preprocessed images."""
        with torch.inference_mode(), computing_in(self.precision, self.device):
            embedded = self.model.encode_image(torch.stack(list(images)).to(self.device))
        return _normalised(embedded)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Embed one batch of texts; what exceeds the context is cut off by the tokenizer."""
        with torch.inference_mode(), computing_in(self.precision, self.device):
            embedded = encode_text(self.model, self.tokenizer(list(texts)).to(self.device))
        return _normalised(embedded)

    @property
    def context_length(self) -> int:
        return int(self.tokenizer.context_length)

    def n_tokens(self, text: str) -> int:
        """How long `text` is, start and end tokens included; what exceeds the context is cut off."""
        return len(self.tokenizer.encode(text)) + 2


def _normalised(embedded: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(embedded.float(), dim=-1).cpu()


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


def expected_tensors(architecture: Architecture) -> Expected:
    """The tensors of an architecture, from a model on the meta device (no memory, milliseconds)."""
    with torch.device("meta"):
        state = build_model(architecture).state_dict(keep_vars=True)
    groups: dict[int, set[str]] = {}
    for name, tensor in state.items():
        groups.setdefault(id(tensor), set()).add(name)
    tied = tuple(frozenset(names) for names in groups.values() if len(names) > 1)
    return Expected(shapes={name: tuple(tensor.shape) for name, tensor in state.items()}, tied=tied)


def match_architecture(found: Header | Checkpoint, architecture: Architecture) -> KeyMatch:
    """Match a checkpoint's tensors with an architecture's; InputError lists every difference that is not tolerated."""
    expected = expected_tensors(architecture)
    return match_keys(found.shapes, expected.shapes, tied=expected.tied)


def load_encoder(
    weights: Checkpoint,
    keys: KeyMatch,
    architecture: Architecture,
    *,
    device: torch.device,
    precision: Precision,
) -> Encoder:
    """Build the architecture and fill every tensor from `weights` as float32. `keys` comes from match_architecture."""
    model = build_model(architecture)
    stored = map_tensors(weights)
    tensors = {name: stored[source] for name, source in keys.sources.items()}
    state = model.state_dict()
    tensors |= {name: torch.zeros_like(state[name]) for name in keys.zeros}
    model.load_state_dict(tensors, strict=True, assign=False)
    text = architecture.config["text_cfg"]
    return Encoder(
        model=model.to(device),
        tokenizer=open_clip.SimpleTokenizer(
            context_length=architecture.context_length, **text.get("tokenizer_kwargs") or {}
        ),
        preprocess=image_transform_v2(
            PreprocessCfg(size=architecture.image_px, **asdict(architecture.preprocessing)), is_train=False
        ),
        device=device,
        precision=precision,
    )
