"""Tiny detectors: what an organiser's folder of one holds, and random weights for it. In: a folder; out: files."""

import json
from pathlib import Path
from typing import Any

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.folders import read_folder
from tests.builders.weights import write_state

SIDE, PATCH, CONTEXT = 48, 8, 12
WORDS = ("round", "long", "cell", "nucleus", "mitochondria", "white", "blood", "dense", "body")
PARAMETERS = {"tiny-owlv2": 50_152, "tiny-owlvit": 48_007}
NAMES = tuple(PARAMETERS)


def detector_folders(folder: Path) -> dict[str, Path]:
    """`folder`/registry/<name>/ as organisers place them, `folder`/<name>.safetensors; returns name → weights."""
    weights = {}
    for seed, name in enumerate(NAMES):
        write_detector_folder(name, folder / "registry" / name)
        state = random_state(read_folder(folder / "registry" / name), seed)
        weights[name] = write_state(state, folder / f"{name}.safetensors")
    return weights


def write_detector_folder(name: str, folder: Path) -> None:
    """architecture.json; config.json, preprocessor_config.json and tokenizer files, as transformers saves them."""
    folder.mkdir(parents=True)
    (folder / "architecture.json").write_text(
        json.dumps({"family": "detector", "library": "transformers", "parameters": PARAMETERS[name]})
    )
    (folder / "config.json").write_text(json.dumps(_config(name.removeprefix("tiny-"))))
    (folder / "preprocessor_config.json").write_text(json.dumps(_processor(name)))
    write_tokenizer(folder)


def random_state(architecture: Architecture, seed: int = 0) -> dict[str, Any]:
    """The state_dict of an untrained model whose heads are louder: scores on both sides of the threshold, boxes that
    overlap and that reach beyond the image."""
    import torch

    from evaluator.encoders.loading import maker_of

    torch.manual_seed(seed)
    state = maker_of(architecture).build_model(architecture).state_dict()
    for name in state:
        if "_head" in name:
            state[name] = torch.randn_like(state[name]) * (0.4 if "logit" in name else 0.3)
    state["box_head.dense2.bias"] += torch.tensor([0.0, 0.0, 1.5, 1.5])
    return state


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of whole words. Its end token has the highest number, as CLIP's has; none is 0 but padding."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<start>", "<unk>", *WORDS, "<end>"]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", words.index("<start>")), ("<end>", words.index("<end>"))]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<start>", eos_token="<end>", unk_token="<unk>", pad_token="<pad>",
        model_max_length=CONTEXT,
    ).save_pretrained(folder)  # fmt: skip


def _config(model_type: str) -> dict[str, Any]:
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
             "hidden_act": "quick_gelu"}  # fmt: skip
    return {
        "model_type": model_type, "projection_dim": 32, "torch_dtype": "float16",
        "text_config": {**tower, "vocab_size": len(WORDS) + 4, "max_position_embeddings": CONTEXT,
                        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": len(WORDS) + 3},
        "vision_config": {**tower, "image_size": SIDE, "patch_size": PATCH},
    }  # fmt: skip


def _processor(name: str) -> dict[str, Any]:
    kind = "Owlv2ImageProcessor" if name == "tiny-owlv2" else "OwlViTImageProcessor"
    return {"image_processor_type": kind, "size": {"height": SIDE, "width": SIDE}}
