"""Full checks of checkpoints on the tiny architecture, and conversion from .pt."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluator.architectures.registry import get_architecture
from evaluator.errors import InputError
from evaluator.weights.check import check_weights
from evaluator.weights.checkpoint import open_checkpoint
from evaluator.weights.convert import convert_checkpoint
from tests.builders.weights import TINY, tiny_state, write_state
from tests.evaluator.weights.hostile import Canary


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return tiny_state()


def check(path: Path) -> dict[str, Any]:
    with open_checkpoint(path) as file:
        return check_weights(file, get_architecture(TINY))


def refusal(path: Path) -> InputError:
    with pytest.raises(InputError) as refused:
        check(path)
    return refused.value


def test_valid_checkpoint_gives_its_facts(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    facts = check(write_state(state, tmp_path / "a.safetensors"))
    assert facts["parameters"] == get_architecture(TINY).parameters
    assert facts["dtypes"] == {"F32": len(state)} and facts["tolerated"] == []
    assert set(facts["tensor_hashes"]) == set(state)


def test_canonical_hash_sees_through_names_and_precision(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    rounded = {name: tensor.to(torch.bfloat16).float() for name, tensor in state.items()}
    facts = [
        check(write_state(stored, tmp_path / f"{name}.safetensors"))
        for name, stored in {
            "float32": rounded,
            "bfloat16": {name: tensor.bfloat16() for name, tensor in rounded.items()},
            "wrapped": {f"module.{name}": tensor for name, tensor in rounded.items()},
            "other": {**rounded, "visual.proj": rounded["visual.proj"] * 2},
        }.items()
    ]
    assert len({fact["sha256"] for fact in facts}) == 4
    hashes = [fact["canonical_hash"] for fact in facts]
    assert hashes[0] == hashes[1] == hashes[2] != hashes[3]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_non_finite_weights_are_refused_by_name(
    state: dict[str, torch.Tensor], tmp_path: Path, value: float, dtype: torch.dtype
) -> None:
    broken = state["visual.proj"].to(dtype).clone()
    broken[3, 5] = value
    error = refusal(write_state({**state, "visual.proj": broken}, tmp_path / "a.safetensors"))
    assert [problem.code for problem in error.problems] == ["non_finite_weights"]
    assert "visual.proj" in error.problems[0].message


def test_missing_extra_and_misshaped_tensors_are_listed_together(
    state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    wrong = {name: tensor for name, tensor in state.items() if name != "logit_scale"}
    wrong |= {"visual.proj": state["visual.proj"].T, "classifier.weight": torch.zeros(2, 2)}
    error = refusal(write_state(wrong, tmp_path / "a.safetensors"))
    assert set(error.counts) == {"missing_keys", "unexpected_keys", "misshaped_keys"}


def test_checkpoint_of_another_architecture_is_refused(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = write_state(state, tmp_path / "a.safetensors")
    with open_checkpoint(path) as file, pytest.raises(InputError) as refused:
        check_weights(file, get_architecture("ViT-B-32"))
    assert {"missing_keys", "misshaped_keys"} <= set(refused.value.counts)


def test_converted_training_checkpoint_is_valid_and_equal(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    stored = {f"module.{name}": tensor for name, tensor in state.items()}
    stored["module.visual.proj"] = stored["module.visual.proj"].double()
    stored["module.step"] = torch.tensor(3)
    stored["module.ln_final.weight"] = stored["module.ln_final.bias"] = torch.ones(64)  # one memory, two names
    source, target = tmp_path / "epoch_3.pt", tmp_path / "a.safetensors"
    torch.save({"epoch": 3, "name": "run", "state_dict": stored, "optimizer": {"lr": 0.1}}, source)
    notes = " ".join(convert_checkpoint(source, target))
    assert "state_dict" in notes and "float64" in notes and "module.step was left out" in notes
    expected = write_state({**state, "ln_final.weight": torch.ones(64), "ln_final.bias": torch.ones(64)},
                           tmp_path / "b.safetensors")  # fmt: skip
    assert check(target)["tensor_hashes"] == check(expected)["tensor_hashes"]


class Exotic:
    """Any class of someone's training code."""


@pytest.mark.parametrize(
    "content",
    [pytest.param(lambda canary: {"w": torch.zeros(2), "x": Canary(canary)}, id="canary"),
     pytest.param(lambda canary: {"w": Exotic()}, id="foreign class"),
     pytest.param(lambda canary: torch.zeros(3), id="bare tensor"),
     pytest.param(lambda canary: {"w": torch.zeros(2).to_sparse()}, id="sparse tensor"),
     pytest.param(lambda canary: {1: torch.zeros(2)}, id="numbered tensors"),
     pytest.param(lambda canary: {"w": torch.zeros(2, dtype=torch.int64)}, id="integers only")],
)  # fmt: skip
def test_checkpoint_with_more_than_tensors_is_refused_and_not_run(content: Any, tmp_path: Path) -> None:
    source, canary = tmp_path / "a.pt", tmp_path / "canary"
    torch.save(content(canary), source)
    with pytest.raises(InputError) as refused:
        convert_checkpoint(source, tmp_path / "a.safetensors")
    assert refused.value.problems[0].code in ("not_plain_tensors", "no_tensors")
    assert not canary.exists() and not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk", pickle.dumps({"a": 1})[:-3]])
def test_broken_checkpoint_is_refused_without_a_traceback(content: bytes, tmp_path: Path) -> None:
    source = tmp_path / "a.pt"
    source.write_bytes(content)
    with pytest.raises(InputError):
        convert_checkpoint(source, tmp_path / "a.safetensors")
