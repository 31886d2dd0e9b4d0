"""Generators from the image-text-to-text models of transformers. In: an Architecture with its folder; out: a Generator.

Models are built from the config that organisers placed, by the Auto classes, without remote code and without a
download, and filled by our own exact load. Processor, tokenizer and chat template come from the folder.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.initialization import no_init_weights

from evaluator.architectures.architecture import Architecture
from evaluator.encoders.choices import Precision
from evaluator.encoders.device import computing_in, is_out_of_memory
from evaluator.encoders.local_transformers import require_known_tokens
from evaluator.errors import InputError
from evaluator.generators.generator import AskedImage, Reply
from evaluator.generators.greedy import write_greedily
from evaluator.generators.prompts import Batch, Prompter
from evaluator.generators.sequences import Positions, Sequences, begin

# Decoders that look back only, at every earlier token, so that a prefix is computed once and gone on from. Each is
# checked in the tests against its own generate(). True: tokens have a place in time, height and width (M-RoPE).
SUPPORTED = {
    "idefics3": False, "internvl": False, "llava": False, "llava_next": False, "llava_onevision": False,
    "qwen2_5_vl": True, "qwen2_vl": True, "qwen3_vl": True,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TransformersGenerator:
    """A Generator around a model of transformers. ends: the tokens that end a reply."""

    model: Any
    prompter: Prompter
    positions: Positions
    ends: frozenset[int]
    context_length: int
    device: torch.device
    precision: Precision

    def reply(self, asked: Sequence[AskedImage], max_new_tokens: int) -> list[list[Reply | None]]:
        replies: list[list[Reply | None]] = [[None] * len(one.prompts) for one in asked]
        batch = self.prompter.encode(asked)
        if not batch.groups:
            return replies
        with torch.inference_mode(), computing_in(self.precision, self.device):
            sequences, logits = self._read(batch)
            limits = [min(max_new_tokens, self.context_length - n) for n in _lengths(batch)]
            written = write_greedily(sequences, logits, self.ends, limits)
        for (image, prompt), one in zip(_places(batch), written, strict=True):
            replies[image][prompt] = Reply(text=self.prompter.decode(one.tokens), finished=one.finished)
        return replies

    def score_letters(self, asked: Sequence[AskedImage]) -> list[list[NDArray[np.float32] | None]]:
        scores: list[list[NDArray[np.float32] | None]] = [[None] * len(one.prompts) for one in asked]
        batch = self.prompter.encode(asked)
        if not batch.groups:
            return scores
        with torch.inference_mode(), computing_in(self.precision, self.device):
            _, logits = self._read(batch)
            likely = logits.log_softmax(dim=-1).cpu()
        for (image, prompt), row in zip(_places(batch), likely, strict=True):
            letters = self.prompter.letters(asked[image].prompts[prompt], asked[image].n_options[prompt])
            scores[image][prompt] = torch.stack([row[list(tokens)].logsumexp(0) for tokens in letters]).numpy()
        return scores

    def _read(self, batch: Batch) -> tuple[Sequences, torch.Tensor]:
        """Every prompt of the batch as a row, and the logits of what follows it."""
        sequences = begin(self.model, batch, self.positions, self.device)
        sequences.select([row for row, group in enumerate(batch.groups) for _ in group.suffixes])
        return sequences, sequences.extend([suffix for group in batch.groups for suffix in group.suffixes])


def build_model(architecture: Architecture) -> torch.nn.Module:
    """The untrained model of an architecture, float32, on the default device: its values are not even initialised.

    Raises InputError `bad_architecture_file` for a config that does not build, `unsupported_architecture` for a type
    of model that no test has compared with its own way of generating.
    """
    kind = architecture.config.get("model_type")
    if kind not in SUPPORTED:
        message = (f"{architecture.name} is a model of type {ascii(kind)}; the generative types that are supported are "
                   f"{', '.join(sorted(SUPPORTED))}.")  # fmt: skip
        raise InputError.single("unsupported_architecture", message, field="architecture")
    try:
        config = AutoConfig.for_model(**architecture.config)
        if _slides(config.get_text_config()):
            message = f"{architecture.name} attends to a sliding window, which is not supported."
            raise InputError.single("unsupported_architecture", message, field="architecture")
        with no_init_weights():
            model = AutoModelForImageTextToText.from_config(
                config, trust_remote_code=False, dtype=torch.float32, attn_implementation="sdpa"
            )
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:  # organisers' config is wrong
        if is_out_of_memory(error):
            raise
        message = f"transformers cannot build {architecture.name}: {error}"
        raise InputError.single("bad_architecture_file", message, field="architecture") from error
    model.tie_weights()
    return model.eval()


def wrap_model(
    model: torch.nn.Module, architecture: Architecture, device: torch.device, precision: Precision
) -> TransformersGenerator:
    """The Generator around a filled model. Raises InputError `bad_architecture_file` for a folder without what it
    needs."""
    folder = architecture.folder
    if folder is None:
        message = f"{architecture.name} has no folder with a tokenizer and a processor."
        raise InputError.single("bad_architecture_file", message, field="architecture")
    try:
        processor = AutoProcessor.from_pretrained(  # nosec B615: a local folder, and nothing else
            folder, local_files_only=True, trust_remote_code=False
        )
        image_token = processor.image_token
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"The processor of {architecture.name} cannot be loaded from its folder: {error}"
        raise InputError.single("bad_architecture_file", message, field="architecture") from error
    require_known_tokens(processor.tokenizer, model, architecture.name)
    is_mrope = SUPPORTED[architecture.config["model_type"]]
    return TransformersGenerator(
        model=model, device=device, precision=precision, context_length=architecture.context_length,
        prompter=Prompter(processor, image_token, architecture.context_length),
        positions=partial(_in_a_grid, model) if is_mrope else _one_by_one,
        ends=_ends(folder, processor.tokenizer),
    )  # fmt: skip


def _one_by_one(ids: torch.Tensor, mask: torch.Tensor, vision: dict[str, torch.Tensor]) -> torch.Tensor:
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def _in_a_grid(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, vision: dict[str, torch.Tensor]
) -> torch.Tensor:  # fmt: skip
    """(3, rows, tokens): an image's tokens lie in a grid, and the text goes on behind its longest side."""
    is_image = (ids == model.config.image_token_id) & mask
    places: torch.Tensor = model.model.get_rope_index(
        ids, mm_token_type_ids=is_image.int(), image_grid_thw=vision["image_grid_thw"], attention_mask=mask.long()
    )[0]
    return places


def _slides(config: Any) -> bool:
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return any(kind != "full_attention" for kind in kinds)
    return bool(getattr(config, "sliding_window", None))


def _ends(folder: Path, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a reply: those of generation_config.json, else the tokenizer's."""
    try:
        found = json.loads((folder / "generation_config.json").read_text(encoding="utf-8")).get("eos_token_id")
    except FileNotFoundError:
        found = None
    found = tokenizer.eos_token_id if found is None else found
    return frozenset(found if isinstance(found, list) else [] if found is None else [found])


def _lengths(batch: Batch) -> list[int]:
    return [len(group.prefix) + len(suffix) for group in batch.groups for suffix in group.suffixes]


def _places(batch: Batch) -> list[tuple[int, int]]:
    return [place for group in batch.groups for place in group.places]
