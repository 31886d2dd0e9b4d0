"""Text towers without padding give what the whole context gives, and towers that need it keep it."""

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
from typing import Any

import open_clip
import pytest
import torch
import transformers

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


@pytest.fixture(scope="module", params=["cls_last_hidden_state_pooler", "cls_pooler", "mean_pooler"])
def bert(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A text tower of transformers, as BiomedCLIP has one."""
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24
    )
    config.save_pretrained(folder := tmp_path_factory.mktemp("bert"))
    torch.manual_seed(3)
    text = {"hf_model_name": str(folder), "hf_model_pretrained": False, "hf_pooler_type": request.param,
            "hf_proj_type": "linear"}  # fmt: skip
    return open_clip.CustomTextCLIP(**WIDTHS, text_cfg=text).eval()


def test_masked_places_at_the_end_are_cut(bert: Any) -> None:
    tokens, seen = torch.zeros(3, 40, dtype=torch.long), []
    for row, length in enumerate((3, 9, 6)):
        tokens[row, :length] = torch.arange(2, 2 + length)
    tokens[1, 4] = 0  # a gap is no end
    bert.text.transformer.register_forward_pre_hook(
        lambda _, given, named: seen.append(named["input_ids"].shape[1]), with_kwargs=True
    )
    with torch.inference_mode():
        for some in (tokens, tokens[:1]):
            found, expected = trimming.encode_text(bert, some), bert.encode_text(some)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert seen == [9, 40, 3, 40]


@pytest.mark.parametrize(("kind", "positions"), [("plain", 8), ("custom", 8), ("two-way", 77), ("last", 77)])
def test_only_causal_towers_read_at_the_end_are_cut(kind: str, positions: int) -> None:
    model, seen = build(kind), []
    getattr(model, "text", model).transformer.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    with torch.inference_mode():
        trimming.encode_text(model, open_clip.SimpleTokenizer(context_length=77)(TEXTS[:3]))
    assert seen == [positions]
