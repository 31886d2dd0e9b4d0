"""CLIP's two layouts hold the same model: each file fits the other architecture and computes the same numbers."""

from pathlib import Path
from typing import Any

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import open_clip
import pytest
import torch
import transformers

from evaluator.architectures.architecture import Architecture, Family, Library, Preprocessing
from evaluator.architectures.open_clip_config import describe
from evaluator.encoders.loading import expected_tensors, maker_of, match_architecture
from evaluator.errors import InputError
from evaluator.weights.check import check_weights
from evaluator.weights.checkpoint import open_checkpoint
from evaluator.weights.keys import KeyMatch, Tolerance, match_keys
from evaluator.weights.layouts import Change, Source
from evaluator.weights.tensors import arrange, map_tensors
from tests.builders.families import spread
from tests.builders.weights import write_state

LAYERS, HEADS = 12, 4  # two digits, so that an order by text would show
TOWER = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
CONFIG = {
    "model_type": "clip", "projection_dim": 24,
    "text_config": TOWER | {"vocab_size": 60, "max_position_embeddings": 16, "eos_token_id": 59, "bos_token_id": 58,
                            "hidden_act": "gelu"},
    "vision_config": TOWER | {"image_size": 16, "patch_size": 8, "hidden_act": "gelu"},
}  # fmt: skip
OPEN_CLIP_CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 32, "layers": LAYERS, "head_width": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 60, "width": 32, "heads": HEADS, "layers": LAYERS},
}
TRANSFORMERS = Architecture(
    name="t", family=Family.CONTRASTIVE, library=Library.TRANSFORMERS, parameters=None, image_px=16, context_length=16,
    activation="GELU", preprocessing=Preprocessing(), config=CONFIG, folder=Path(),
)  # fmt: skip
PLAIN, CUSTOM = (
    describe(name, OPEN_CLIP_CONFIG | more, preprocessing=Preprocessing())
    for name, more in (("plain", {}), ("custom", {"custom_text": True}))
)
PIXELS = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
TOKENS = torch.tensor([[58, 5, 6, 7, 59] + [0] * 11, [58, 1, 2, 59] + [0] * 12])


def weights_of(architecture: Architecture, path: Path) -> Path:
    torch.manual_seed(1)
    if architecture is TRANSFORMERS:
        model = transformers.CLIPModel(transformers.CLIPConfig(**CONFIG))
    else:
        model = maker_of(architecture).build_model(architecture)
    spread(model)
    return write_state({name: tensor.half() for name, tensor in model.state_dict().items()}, path)


def features(model: Any) -> list[torch.Tensor]:
    with torch.inference_mode():
        if isinstance(model, transformers.CLIPModel):
            image, text = model.get_image_features(PIXELS), model.get_text_features(TOKENS)
            return [image.pooler_output, text.pooler_output]
        return [model.encode_image(PIXELS), model.encode_text(TOKENS)]


def filled(path: Path, architecture: Architecture) -> tuple[KeyMatch, Any]:
    with open_checkpoint(path) as file:
        keys = match_architecture(file, architecture)
        model = maker_of(architecture).build_model(architecture)
        model.load_state_dict(arrange(map_tensors(file), keys), strict=True)
    return keys, model


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [(TRANSFORMERS, PLAIN), (TRANSFORMERS, CUSTOM), (PLAIN, TRANSFORMERS), (CUSTOM, TRANSFORMERS)],
    ids=lambda architecture: architecture.name,
)
def test_the_other_layout_computes_the_same(stored: Architecture, wanted: Architecture, tmp_path: Path) -> None:
    path = weights_of(stored, tmp_path / "a.safetensors")
    own, model = filled(path, stored)
    assert own.used == () and own.made == {}
    keys, other = filled(path, wanted)
    assert keys.used == (Tolerance.CLIP_LAYOUT,) and "layouts" in keys.facts()[0]["what"]
    assert keys.sources.keys() | keys.made.keys() == expected_tensors(wanted).shapes.keys()
    for first, second in zip(features(model), features(other), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=2e-5)
        assert first.std() > 0.1


def test_a_layout_mapped_there_and_back_is_the_same_to_the_bit(tmp_path: Path) -> None:
    first = weights_of(TRANSFORMERS, tmp_path / "first.safetensors")
    with open_checkpoint(first) as file:
        there = arrange(map_tensors(file), match_architecture(file, PLAIN))
    second = write_state(there, tmp_path / "second.safetensors")
    with open_checkpoint(first) as one, open_checkpoint(second) as two:
        back = arrange(map_tensors(two), match_architecture(two, TRANSFORMERS))
        before = map_tensors(one)
        assert back.keys() == before.keys()
        assert all(torch.equal(back[name], before[name]) for name in before)
        assert check_weights(one, PLAIN)["canonical_hash"] == check_weights(two, PLAIN)["canonical_hash"]
        assert check_weights(one, TRANSFORMERS)["canonical_hash"] == check_weights(two, TRANSFORMERS)["canonical_hash"]
        other = write_state({**there, "ln_final.bias": there["ln_final.bias"] + 1}, tmp_path / "other.safetensors")
        with open_checkpoint(other) as three:
            assert check_weights(three, TRANSFORMERS)["canonical_hash"] != check_weights(one, PLAIN)["canonical_hash"]


def test_layout_goes_with_the_other_tolerances(tmp_path: Path) -> None:
    shapes = expected_tensors(TRANSFORMERS).shapes
    stored = {f"module.{name}": shape for name, shape in shapes.items()}
    stored["module.text_model.embeddings.position_ids"] = (1, 16)
    keys = match_keys(stored, expected_tensors(CUSTOM).shapes)
    assert keys.used == (Tolerance.MODULE_PREFIX, Tolerance.CLIP_LAYOUT, Tolerance.POSITION_IDS)
    block = "text_model.encoder.layers.11.self_attn"
    assert keys.made["text.transformer.resblocks.11.attn.in_proj_bias"] == Source(
        names=tuple(f"module.{block}.{part}_proj.bias" for part in "qkv"), change=Change.STACKED
    )
    assert keys.made["visual.proj"] == Source(names=("module.visual_projection.weight",), change=Change.TRANSPOSED)


def refused(stored: dict[str, Any], wanted: Architecture) -> dict[str, str]:
    with pytest.raises(InputError) as error:
        match_keys(stored, expected_tensors(wanted).shapes)
    return {problem.code: problem.message for problem in error.value.problems}


def test_what_does_not_fit_is_told_in_the_files_words() -> None:
    shapes = expected_tensors(TRANSFORMERS).shapes
    query = "text_model.encoder.layers.3.self_attn.q_proj.weight"
    without = {name: shape for name, shape in shapes.items() if name != query}
    said = refused(without, PLAIN)
    assert "transformer.resblocks.3.attn.in_proj_weight" in said["missing_keys"]
    assert "layers.3.self_attn.k_proj.weight" in said["unexpected_keys"]
    for bad in ((31, 32), (32, 31), ()):
        assert f"{query} is {list(bad)}" in refused(shapes | {query: bad}, PLAIN)["misshaped_keys"]
    assert "(transposed)" in refused(shapes | {"text_projection.weight": (24,)}, PLAIN)["misshaped_keys"]
    fused = expected_tensors(PLAIN).shapes
    for bad in ((95, 32), (96,), ()):
        told = refused(fused | {"transformer.resblocks.0.attn.in_proj_weight": bad}, TRANSFORMERS)
        assert "transformer.resblocks.0.attn.in_proj_weight is" in told["misshaped_keys"]


def test_a_tensor_of_both_layouts_is_not_lost() -> None:
    """What another tensor's new name would cover is refused, not dropped."""
    shapes = expected_tensors(TRANSFORMERS).shapes
    said = refused(shapes | {"positional_embedding": (16, 32)}, PLAIN)
    assert "unexpected_keys" in said
    fused = expected_tensors(CUSTOM).shapes
    assert "unexpected_keys" in refused(fused | {"positional_embedding": (16, 32)}, TRANSFORMERS)


def test_layers_that_are_many_or_named_oddly_cost_nothing() -> None:
    shapes = expected_tensors(TRANSFORMERS).shapes
    odd = {f"text_model.encoder.layers.{number}.layer_norm1.weight": (32,) for number in ("99999999", "007", "-1", "x")}
    said = refused(shapes | odd, PLAIN)
    assert "layers.99999999" in said["unexpected_keys"]


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-L-14-336"])
def test_openais_published_shapes_fit_built_in_architectures(name: str) -> None:
    """transformers' own configs of the published models, against the built-in architectures, by name and shape."""
    from evaluator.architectures.registry import get_architecture

    sizes: dict[str, dict[str, Any]] = {
        "ViT-B-32": {},
        "ViT-L-14-336": {
            "projection_dim": 768,
            "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
            "vision_config": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
                              "num_attention_heads": 16, "image_size": 336, "patch_size": 14},
        },
    }  # fmt: skip
    with torch.device("meta"):
        theirs = transformers.CLIPModel(transformers.CLIPConfig(**sizes[name])).state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in theirs.items()}
    ours = expected_tensors(get_architecture(name)).shapes
    for stored, wanted in ((shapes, ours), (ours, shapes)):
        keys = match_keys(stored, wanted)
        assert keys.used == (Tolerance.CLIP_LAYOUT,) and keys.sources.keys() | keys.made.keys() == wanted.keys()


def test_open_clips_own_conversion_agrees(tmp_path: Path) -> None:
    """A model of open_clip, its weights mapped by hand as transformers' conversion script does it."""
    torch.manual_seed(3)
    model = open_clip.CLIP(**OPEN_CLIP_CONFIG).eval()
    spread(model)
    path = write_state(model.state_dict(), tmp_path / "a.safetensors")
    _, other = filled(path, TRANSFORMERS)
    attention = model.transformer.resblocks[10].attn
    theirs = other.text_model.encoder.layers[10].self_attn
    query, key, value = attention.in_proj_weight.chunk(3)
    assert torch.equal(theirs.q_proj.weight, query) and torch.equal(theirs.k_proj.weight, key)
    assert torch.equal(theirs.v_proj.weight, value) and torch.equal(
        other.text_projection.weight, model.text_projection.T
    )
    assert torch.equal(other.vision_model.pre_layrnorm.bias, model.visual.ln_pre.bias)
