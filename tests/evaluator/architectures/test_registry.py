"""The registry: frozen facts that match the installed open_clip, and architectures told apart."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import open_clip
import torch

from evaluator.architectures import freeze
from evaluator.architectures.architecture import Preprocessing
from evaluator.architectures.open_clip_config import read_preprocessing
from evaluator.architectures.registry import (  # fmt: skip
    FACTS,
    OWN_CONFIGS,
    find_architecture,
    get_architecture,
    list_architectures,
)
from evaluator.encoders.choices import Precision
from evaluator.encoders.loading import expected_tensors, load_model, match_architecture
from evaluator.encoders.open_clip import build_model
from evaluator.errors import InputError
from evaluator.pixels.crop import crop
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.weights import TINY, tiny_state, write_state


def test_facts_hold_exactly_the_architectures_that_need_no_download() -> None:
    facts = json.loads(FACTS.read_text())
    own = {path.stem for path in OWN_CONFIGS.glob("*.json")}
    # Tests that compare with open_clip's own loader register our configs with it.
    configs = {name: config for name, config in freeze.built_in_configs().items() if name not in own}
    assert facts["open_clip"] == open_clip.__version__
    assert facts["architectures"].keys() == configs.keys() | own
    assert all(facts["architectures"][name]["config"] == json.loads(json.dumps(configs[name])) for name in configs)
    assert {"ViT-B-32", "RN50", "convnext_base", "coca_ViT-B-32", TINY} <= facts["architectures"].keys()
    assert not {"roberta-ViT-B-32", "ViT-B-16-SigLIP", "nllb-clip-base"} & facts["architectures"].keys()


@pytest.mark.parametrize("name", [TINY, "ViT-B-32-quickgelu", "RN50", "MobileCLIP2-S0", "coca_ViT-B-32"])
def test_facts_of_an_architecture_are_what_its_model_has(name: str) -> None:
    stored = json.loads(FACTS.read_text())["architectures"][name]
    architecture = get_architecture(name)
    found = freeze.facts_of(name, dict(architecture.config), architecture.preprocessing)
    assert json.loads(json.dumps(found)) == {key: value for key, value in stored.items() if key != "config"}
    assert read_preprocessing(stored["preprocessing"]) == architecture.preprocessing


def test_architectures_are_listed_with_what_a_submitter_must_know() -> None:
    listed = list_architectures()
    assert len({architecture.name for architecture in listed}) == len(listed) > 80
    for architecture in listed:
        assert architecture.parameters and architecture.image_px and architecture.context_length
        assert architecture.activation and str(architecture.preprocessing).startswith("RGB")


def test_two_activations_of_one_layout_are_told_apart() -> None:
    plain, quick = get_architecture("ViT-B-32"), get_architecture("ViT-B-32-quickgelu")
    assert (plain.activation, quick.activation) == ("GELU", "QuickGELU")
    assert plain.twin == quick.name and quick.twin == plain.name
    assert expected_tensors(plain) == expected_tensors(quick)


def test_unknown_name_is_refused_with_near_ones() -> None:
    with pytest.raises(InputError, match="ViT-B-32"):
        get_architecture("vit-b32")
    with pytest.raises(InputError, match="unknown_architecture"):
        get_architecture("../../etc/passwd\n")
    with pytest.raises(InputError, match="unknown_architecture"):
        get_architecture("hf-hub:someone/model")


def test_config_file_of_ones_own_is_for_local_use(tmp_path: Path) -> None:
    config = json.loads((OWN_CONFIGS / f"{TINY}.json").read_text())
    bare, full = tmp_path / "mine.json", tmp_path / "open_clip_config.json"
    bare.write_text(json.dumps(config))
    full.write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "size": 64}}))
    assert expected_tensors(find_architecture(str(bare))) == expected_tensors(get_architecture(TINY))
    assert find_architecture(str(bare)).preprocessing == Preprocessing()
    assert find_architecture(str(full)).preprocessing == Preprocessing(mean=(0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"embed_dim": 8}', '{"embed_dim": 8, "vision_cfg": 1, "text_cfg": 2}',
     '{"embed_dim": 8, "vision_cfg": {}, "text_cfg": {"hf_model_name": "roberta-base"}}',
     '{"embed_dim": 8, "vision_cfg": {}, "text_cfg": {"vocab_size": 100}}'],
)  # fmt: skip
def test_wrong_config_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InputError, match="bad_architecture_file"):
        find_architecture(str(path))
    with pytest.raises(InputError, match="bad_architecture_file"):
        find_architecture(str(tmp_path / "missing.json"))


def test_config_file_that_does_not_build_is_refused(tmp_path: Path) -> None:
    config = json.loads((OWN_CONFIGS / f"{TINY}.json").read_text())
    config["vision_cfg"]["colour"] = "blue"
    path = tmp_path / "a.json"
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="bad_architecture_file"):
        build_model(find_architecture(str(path)))


def test_own_load_equals_open_clips_on_every_tensor(tmp_path: Path) -> None:
    """The model is the same as open_clip's own factory builds, so that weights trained with it mean the same here."""
    torch.manual_seed(0)
    ours = build_model(get_architecture(TINY))
    open_clip.add_model_config(OWN_CONFIGS / f"{TINY}.json")
    theirs = open_clip.create_model(TINY, pretrained=None).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images, texts = torch.rand(2, 3, 64, 64), open_clip.get_tokenizer(TINY)(["a nucleus", "a mitochondrion"])
    with torch.inference_mode():
        assert torch.equal(ours.encode_image(images), theirs.encode_image(images))
        assert torch.equal(ours.encode_text(texts), theirs.encode_text(texts))


def test_preprocessing_equals_open_clips_evaluation_transform(tmp_path: Path) -> None:
    weights, architecture = write_state(tiny_state(), tmp_path / "a.safetensors"), get_architecture(TINY)
    with open_checkpoint(weights) as file:
        encoder = load_model(
            file, match_architecture(file, architecture), architecture, device=torch.device("cpu"),
            precision=Precision.FP32,
        )  # fmt: skip
    open_clip.add_model_config(OWN_CONFIGS / f"{TINY}.json")
    transform, recipe = open_clip.create_model_and_transforms(TINY, pretrained=None)[2], architecture.crop_recipe
    for size in ((64, 64), (200, 90), (17, 230)):
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))
        assert recipe is not None
        assert torch.equal(encoder.normalise(crop(image, recipe)[None])[0], transform(image))
