"""Tiny random models of the other supported generative types. In: a folder; out: weights in it, with all they need."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers

from tests.builders.generators import (
    CONTEXT,
    QWEN_SPECIAL,
    QWEN_TEMPLATE,
    lively,
    save,
    tiny_tokenizer,
)

QWEN_TOKENS = {
    "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>", "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}  # fmt: skip
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
PINPOINTS = [[32, 32], [32, 64], [64, 32]]


def write_qwen2_5(folder: Path) -> Path:
    """Qwen2.5-VL: windows of attention in the image tower."""
    vision = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 4,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 16, "fullatt_block_indexes": [1],
    }  # fmt: skip
    return _write_qwen_like(folder, transformers.Qwen2_5_VLConfig, transformers.Qwen2_5_VLProcessor, vision, {})


def write_qwen3(folder: Path) -> Path:
    """Qwen3-VL: features of the image tower's lower layers are added to those of the decoder."""
    vision = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": 4,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }  # fmt: skip
    return _write_qwen_like(
        folder, transformers.Qwen3VLConfig, transformers.Qwen3VLProcessor, vision,
        {"head_dim": 16, "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0,
                                             "mrope_section": [2, 3, 3], "mrope_interleaved": True}},
    )  # fmt: skip


def _write_qwen_like(
    folder: Path, config_class: Any, processor_class: Any, vision: dict[str, Any], text: dict[str, Any]
) -> Path:
    tokenizer = tiny_tokenizer(QWEN_SPECIAL, bos=None, eos="<|im_end|>", pad="<|endoftext|>")
    config = config_class(
        text_config={
            "vocab_size": len(tokenizer), "num_key_value_heads": 1, "max_position_embeddings": CONTEXT,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 3, 3]},
            "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, **TOWER, **text,
        },
        vision_config=vision, tie_word_embeddings=False,
        **{name: tokenizer.convert_tokens_to_ids(token) for name, token in QWEN_TOKENS.items()},
    )  # fmt: skip
    images = transformers.Qwen2VLImageProcessor(
        patch_size=4, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 48 * 48}
    )
    videos = transformers.Qwen2VLVideoProcessor(patch_size=4, merge_size=2)
    if processor_class is transformers.Qwen3VLProcessor:
        videos = transformers.Qwen3VLVideoProcessor(patch_size=4, merge_size=2)
    processor = processor_class(
        image_processor=images, tokenizer=tokenizer, video_processor=videos, chat_template=QWEN_TEMPLATE
    )  # fmt: skip
    return save(folder, lively(config, tokenizer, seed=3), processor)


def write_llava_next(folder: Path) -> Path:
    """LLaVA-NeXT: an image and its tiles, with a token at the end of each line of tiles."""
    tokenizer = tiny_tokenizer(("<pad>", "<s>", "</s>", "<image>"), bos="<s>", eos="</s>", pad="<pad>")
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(image_size=32, patch_size=8, projection_dim=32, **TOWER),
        text_config=transformers.LlamaConfig(
            vocab_size=len(tokenizer), max_position_embeddings=CONTEXT, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, **TOWER,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), image_grid_pinpoints=PINPOINTS,
        tie_word_embeddings=False,
    )  # fmt: skip
    processor = transformers.LlavaNextProcessor(
        image_processor=transformers.LlavaNextImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=PINPOINTS
        ),
        tokenizer=tokenizer, patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1,
    )  # fmt: skip
    return save(folder, lively(config, tokenizer, seed=0), processor)


def write_llava_onevision(folder: Path) -> Path:
    """LLaVA-OneVision: SigLIP and Qwen2, tiles with a token at the end of each line."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
    tokenizer = tiny_tokenizer(special, bos=None, eos="<|im_end|>", pad="<|endoftext|>")
    config = transformers.LlavaOnevisionConfig(
        vision_config=transformers.SiglipVisionConfig(image_size=32, patch_size=8, vision_use_head=False, **TOWER),
        text_config=transformers.Qwen2Config(
            vocab_size=len(tokenizer), max_position_embeddings=CONTEXT, num_key_value_heads=1, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, **TOWER,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"), image_grid_pinpoints=PINPOINTS,
        tie_word_embeddings=False,
    )  # fmt: skip
    processor = transformers.LlavaOnevisionProcessor(
        image_processor=transformers.LlavaOnevisionImageProcessor(
            size={"height": 32, "width": 32}, image_grid_pinpoints=PINPOINTS
        ),
        video_processor=transformers.LlavaOnevisionVideoProcessor(size={"height": 32, "width": 32}),
        tokenizer=tokenizer, num_image_tokens=16, vision_feature_select_strategy="full",
        chat_template=QWEN_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>\n"),
    )  # fmt: skip
    return save(folder, lively(config, tokenizer, seed=0), processor)


def write_idefics3(folder: Path) -> Path:
    """Idefics3: an image and its tiles, each named by its row and column, with fewer tokens than patches."""
    special = ("<pad>", "<s>", "</s>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
               *(f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)))  # fmt: skip
    tokenizer = tiny_tokenizer(special, bos="<s>", eos="</s>", pad="<pad>")
    config = transformers.Idefics3Config(
        vision_config={"image_size": 32, "patch_size": 8, **TOWER},
        text_config=transformers.LlamaConfig(
            vocab_size=len(tokenizer), max_position_embeddings=CONTEXT, bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, **TOWER,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"), scale_factor=2, tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    processor = transformers.Idefics3Processor(
        image_processor=transformers.Idefics3ImageProcessor(
            size={"longest_edge": 64}, max_image_size={"longest_edge": 32}
        ),
        tokenizer=tokenizer, image_seq_len=4,
    )  # fmt: skip
    return save(folder, lively(config, tokenizer, seed=0), processor)


def write_internvl(folder: Path) -> Path:
    """InternVL: tiles of 32 pixels, four patches to a token."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<IMG_CONTEXT>", "<img>", "</img>", "<video>")
    named = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
             "video_token": "<video>"}  # fmt: skip
    tokenizer = tiny_tokenizer(special, bos=None, eos="<|im_end|>", pad="<|endoftext|>", named=named)
    config = transformers.InternVLConfig(
        vision_config={"image_size": [32, 32], "patch_size": [8, 8], **TOWER},
        text_config=transformers.Qwen2Config(
            vocab_size=len(tokenizer), max_position_embeddings=CONTEXT, num_key_value_heads=1, bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id, **TOWER,
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), image_seq_length=4, downsample_ratio=0.5,
        tie_word_embeddings=False,
    )  # fmt: skip
    processor = transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(
            size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=3
        ),
        tokenizer=tokenizer, video_processor=transformers.InternVLVideoProcessor(size={"height": 32, "width": 32}),
        image_seq_length=4,
        chat_template=QWEN_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<IMG_CONTEXT>\n"),
    )  # fmt: skip
    return save(folder, lively(config, tokenizer, seed=0), processor)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "qwen2_5_vl": write_qwen2_5, "qwen3_vl": write_qwen3, "llava_next": write_llava_next,
    "llava_onevision": write_llava_onevision, "idefics3": write_idefics3, "internvl": write_internvl,
}  # fmt: skip
