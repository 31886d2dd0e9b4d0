"""Text towers without padding give what the whole context gives, and towers that need it keep it."""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
from typing import Any

import open_clip
import pytest
import torch

from evaluator.encoders import trimming

WIDTHS: dict[str, Any] = {"embed_dim": 16, "vision_cfg": {"layers": 1, "width": 16, "head_width": 8, "patch_size": 8,
                                                           "image_size": 16}}  # fmt: skip
TEXT: dict[str, Any] = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
TEXTS = ["cell", "a micrograph of a cell", "none of the above", "a long caption " * 40]


def build(kind: str) -> Any:
    torch.manual_seed(3)
    coca = {"layers": 1, "width": 16, "heads": 2, "context_length": 77}
    models = {
        "plain": lambda: open_clip.CLIP(**WIDTHS, text_cfg=TEXT),
        "quick": lambda: open_clip.CLIP(**WIDTHS, text_cfg=TEXT, quick_gelu=True),
        "custom": lambda: open_clip.CustomTextCLIP(**WIDTHS, text_cfg=TEXT),
        "linear": lambda: open_clip.CustomTextCLIP(**WIDTHS, text_cfg=TEXT | {"proj_bias": True}),
        "two-way": lambda: open_clip.CustomTextCLIP(**WIDTHS, text_cfg=TEXT | {"no_causal_mask": True}),
        "last": lambda: open_clip.CustomTextCLIP(**WIDTHS, text_cfg=TEXT | {"pool_type": "last"}),
        "coca": lambda: open_clip.CoCa(
            **WIDTHS, text_cfg=TEXT | {"embed_cls": True, "output_tokens": True}, multimodal_cfg=coca
        ),
    }
    return models[kind]().eval()


@pytest.mark.parametrize("kind", ["plain", "quick", "custom", "linear", "two-way", "last", "coca"])
def test_equal_to_the_whole_context(kind: str) -> None:
    model, tokens = build(kind), open_clip.SimpleTokenizer(context_length=77)(TEXTS)
    with torch.inference_mode():
        for texts in (tokens, tokens[:3], tokens[:1]):
            torch.testing.assert_close(trimming.encode_text(model, texts), model.encode_text(texts), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("kind", "positions"), [("plain", 8), ("custom", 8), ("two-way", 77), ("last", 77)])
def test_only_causal_towers_read_at_the_end_are_cut(kind: str, positions: int) -> None:
    model, seen = build(kind), []
    getattr(model, "text", model).transformer.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    with torch.inference_mode():
        trimming.encode_text(model, open_clip.SimpleTokenizer(context_length=77)(TEXTS[:3]))
    assert seen == [positions]
