"""Tiny generative models with all that belongs to them. In: a folder; out: what organisers place, and weights.

Nothing is downloaded: tokenizers are trained on a few prompts, weights are random.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from evaluator.architectures.architecture import Architecture, Family, Library, Preprocessing
from evaluator.release.prompts import render_prompt

LLAVA, LLAVA_CHAT, QWEN = "tiny-llava", "tiny-llava-chat", "tiny-qwen2-vl"
CONTEXT = 1024
CORPUS = [
    render_prompt(f"Which {kind} is shown?", ["light microscopy", "electron microscopy", "none of the above"])
    for kind in ("modality", "submodality", "domain", "subdomain", "stain", "classification")
]
LLAVA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}USER: {% for part in message.content %}"
    "{% if part.type == 'image' %}<image>\n{% else %}{{ part.text }}{% endif %}{% endfor %} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
                "<|video_pad|>")  # fmt: skip


def generative_folders(folder: Path) -> dict[str, Path]:
    """Name → model.safetensors in a folder of that name, which also holds config, tokenizer and processor."""
    return {
        LLAVA: write_llava(folder / LLAVA), LLAVA_CHAT: write_llava(folder / LLAVA_CHAT, template=LLAVA_TEMPLATE),
        QWEN: write_qwen(folder / QWEN),
    }  # fmt: skip


def generative_architecture(folder: Path, /, **changes: Any) -> Architecture:
    """The architecture that such a folder describes; `changes` override its fields."""
    config = json.loads((folder / "config.json").read_text())
    fields: dict[str, Any] = {
        "name": folder.name, "family": Family.GENERATIVE, "library": Library.TRANSFORMERS, "folder": folder,
        "parameters": None, "image_px": 32, "context_length": CONTEXT, "activation": "SiLU",
        "preprocessing": Preprocessing(), "config": config,
    }  # fmt: skip
    return Architecture(**fields | changes)


def write_llava(
    folder: Path, *, template: str | None = None, hidden: int = 32, seed: int = 0, favoured: bool = True
) -> Path:  # fmt: skip
    """A LLaVA with two layers in each tower and a prefix of 16 image tokens; returns its weights. favoured: as `lively`
    makes it."""
    tokenizer = tiny_tokenizer(("<pad>", "<s>", "</s>", "<image>"), bos="<s>", eos="</s>", pad="<pad>")
    sizes = {"hidden_size": hidden, "intermediate_size": 2 * hidden, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(image_size=32, patch_size=8, projection_dim=32, **sizes),
        text_config=transformers.LlamaConfig(
            vocab_size=len(tokenizer), num_key_value_heads=1, max_position_embeddings=CONTEXT,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, **sizes,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), tie_word_embeddings=False,
    )  # fmt: skip
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
        tokenizer=tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=template,
    )  # fmt: skip
    torch.manual_seed(seed)
    fresh = transformers.AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    return save(folder, lively(config, tokenizer, seed) if favoured else fresh, processor)


def write_qwen(folder: Path, *, seed: int = 3) -> Path:
    """A Qwen2-VL with two layers in each tower, tied embeddings and M-RoPE; as many image tokens as the image's shape
    wants. Returns its weights."""
    tokenizer = tiny_tokenizer(QWEN_SPECIAL, bos=None, eos="<|im_end|>", pad="<|endoftext|>")
    names = {
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
    }  # fmt: skip
    config = transformers.Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": CONTEXT,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]},
            "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id,
        },
        vision_config={
            "depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4,
            "spatial_merge_size": 2, "temporal_patch_size": 2,
        },
        tie_word_embeddings=True, **{name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()},
    )  # fmt: skip
    processor = transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(
            patch_size=4, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 48 * 48}
        ),
        tokenizer=tokenizer, video_processor=transformers.Qwen2VLVideoProcessor(patch_size=4, merge_size=2),
        chat_template=QWEN_TEMPLATE,
    )  # fmt: skip
    return save(folder, lively(config, tokenizer, seed), processor)


def tiny_tokenizer(
    special: Sequence[str], *, bos: str | None, eos: str, pad: str, named: dict[str, str] | None = None
) -> Any:
    """A byte-level BPE of 400 tokens that knows the words of the prompts; writes `bos` first where there is one.
    named: special tokens that a processor asks for by an attribute."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=[*special], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(CORPUS, trainer)
    if bos is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        extra_special_tokens=named or [*special],
    )


def lively(config: Any, tokenizer: Any, seed: int) -> Any:
    """A random model that does not say one thing for ever, answers with a letter and ends its reply now and then."""
    torch.manual_seed(seed)
    model = transformers.AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "embed" not in name:
                parameter.mul_(8)
        head = model.get_output_embeddings().weight
        head[tokenizer.convert_tokens_to_ids([*"ABC"])] *= 1.5 if config.tie_word_embeddings else 4
        head[tokenizer.eos_token_id] *= 4
    return model.eval()


def save(folder: Path, model: Any, processor: Any) -> Path:
    """Write what organisers place, and the weights as the library itself names them; returns their path."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder / "model.safetensors"
