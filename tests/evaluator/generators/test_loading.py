"""From files to a generator: names of several versions, tied tensors, buffers no file holds, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import evaluator.encoders.torchvision_ops  # noqa: F401  before anything that imports torchvision

# isort: split
import transformers

from evaluator.architectures.architecture import Architecture
from evaluator.encoders.choices import Precision
from evaluator.encoders.loading import expected_tensors, load_model, match_architecture
from evaluator.errors import InputError
from evaluator.generators.transformers import build_model
from evaluator.weights.check import check_weights
from evaluator.weights.checkpoint import open_checkpoint
from evaluator.weights.keys import Tolerance
from tests.builders.generators import LLAVA, QWEN, generative_architecture, write_llava, write_qwen
from tests.builders.weights import write_shards, write_state

WRITERS = {LLAVA: write_llava, QWEN: write_qwen}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("loading")
    return {name: write(root / name) for name, write in WRITERS.items()}


def load(weights: Path, architecture: Architecture) -> tuple[Any, tuple[Tolerance, ...]]:
    with open_checkpoint(weights) as file:
        keys = match_architecture(file, architecture)
        device, precision = torch.device("cpu"), Precision.FP32
        return load_model(file, keys, architecture, device=device, precision=precision).model, keys.used


@pytest.mark.parametrize("name", WRITERS)
def test_every_tensor_and_buffer_is_what_the_library_loads(name: str, folders: dict[str, Path]) -> None:
    folder = folders[name].parent
    model, used = load(folders[name], generative_architecture(folder))
    reference = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    for kind in ("named_parameters", "named_buffers"):
        ours, theirs = dict(getattr(model, kind)()), dict(getattr(reference, kind)())
        assert ours.keys() == theirs.keys() and len(ours) > 1
        for tensor in ours:
            torch.testing.assert_close(ours[tensor], theirs[tensor], rtol=0, atol=0)
            assert ours[tensor].dtype in (torch.float32, torch.int64)
    assert not model.training
    assert used == ((Tolerance.VLM_LAYOUT,) if name == LLAVA else (Tolerance.VLM_LAYOUT, Tolerance.TIED_TENSORS))


@pytest.mark.parametrize("name", WRITERS)
def test_todays_names_need_no_tolerance(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    architecture = generative_architecture(folders[name].parent)
    before, _ = load(folders[name], architecture)
    index = write_shards(dict(before.state_dict()), tmp_path)
    model, used = load(index, architecture)
    assert used == ()
    for tensor, values in before.state_dict().items():
        torch.testing.assert_close(model.state_dict()[tensor], values, rtol=0, atol=0)


def test_names_of_the_first_llava_files_are_mapped(folders: dict[str, Path], tmp_path: Path) -> None:
    state = {
        name.replace("vision_tower.", "vision_tower.vision_model."): tensor.half()
        for name, tensor in load_file(folders[LLAVA]).items()
    }
    assert "vision_tower.vision_model.embeddings.class_embedding" in state
    state["vision_tower.vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    weights = write_state(state, tmp_path / "old.safetensors")
    architecture = generative_architecture(folders[LLAVA].parent)
    _, used = load(weights, architecture)
    assert used == (Tolerance.VLM_LAYOUT, Tolerance.POSITION_IDS)
    with open_checkpoint(weights) as file, open_checkpoint(folders[LLAVA]) as other:
        facts = check_weights(file, architecture)
        assert facts["tolerated"][0]["tolerance"] == "vlm_layout"
        assert facts["canonical_hash"] != check_weights(other, architecture)["canonical_hash"]  # rounded to half


def test_a_missing_tensor_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    state = load_file(folders[LLAVA])
    del state["multi_modal_projector.linear_1.bias"]
    with pytest.raises(InputError) as refused:
        load(write_state(state, tmp_path / "less.safetensors"), generative_architecture(folders[LLAVA].parent))
    assert refused.value.counts == {"missing_keys": 1}
    assert "model.multi_modal_projector.linear_1.bias" in refused.value.problems[0].message


def test_the_expected_tensors_take_no_memory_and_know_what_is_tied(folders: dict[str, Path]) -> None:
    expected = expected_tensors(generative_architecture(folders[QWEN].parent))
    assert expected.tied == (frozenset({"lm_head.weight", "model.language_model.embed_tokens.weight"}),)
    assert expected_tensors(generative_architecture(folders[LLAVA].parent)).tied == ()


def test_a_config_that_asks_for_half_precision_is_built_in_full(folders: dict[str, Path]) -> None:
    architecture = generative_architecture(folders[LLAVA].parent)
    config = {**architecture.config, "dtype": "bfloat16", "torch_dtype": "bfloat16"}
    model = build_model(generative_architecture(folders[LLAVA].parent, config=config))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model_type": "paligemma"}, "unsupported_architecture"),
        ({"model_type": "own", "auto_map": {"AutoConfig": "code.Config"}}, "unsupported_architecture"),
        ({"text_config": {"model_type": "mistral", "sliding_window": 16}}, "unsupported_architecture"),
        ({"vision_config": {"model_type": "nothing_known"}}, "bad_architecture_file"),
    ],
)
def test_what_cannot_be_built_is_said(change: dict[str, Any], code: str, folders: dict[str, Path]) -> None:
    folder = folders[LLAVA].parent
    config = {**generative_architecture(folder).config, **change}
    with pytest.raises(InputError) as refused:
        expected_tensors(generative_architecture(folder, config=config))
    assert refused.value.counts == {code: 1} and LLAVA in refused.value.problems[0].message


def test_nothing_is_asked_of_a_network(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*address: Any) -> None:
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    for weights in folders.values():
        load(weights, generative_architecture(weights.parent))


def test_a_folder_without_a_processor_is_said(folders: dict[str, Path], tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(InputError) as refused:
            load(folders[LLAVA], generative_architecture(folders[LLAVA].parent, folder=folder))
        assert refused.value.counts == {"bad_architecture_file": 1}
