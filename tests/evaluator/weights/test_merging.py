"""Merged checkpoints: exact at the ends, right between, one valid file whatever the parts were stored as."""

import io
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.loading import expected_tensors
from evaluator.errors import InputError
from evaluator.weights import merging
from evaluator.weights.check import check_weights
from evaluator.weights.checkpoint import open_checkpoint
from evaluator.weights.header import read_header
from evaluator.weights.merging import compare_members, interpolate, match_pair, mean, write_merged
from tests.builders.adapters import lora_state, merged_slowly, write_adapter
from tests.builders.pairs import mixed_slowly, tuned_state
from tests.builders.weights import TINY, tiny_state, write_shards, write_state
from tests.evaluator.weights.test_layouts import PLAIN, TRANSFORMERS, weights_of

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def states() -> list[State]:
    base = tiny_state(1)
    return [base, *(tuned_state(base, seed=seed) for seed in (5, 6, 7))]


def written(states: list[Any], folder: Path) -> list[Path]:
    return [write_state(state, folder / f"{number}.safetensors") for number, state in enumerate(states)]


def merged(
    paths: list[Path], weights: list[float], out: Path, *, architecture: Architecture | None = None,
    bases: dict[Path, Path] | None = None,
) -> dict[str, Any]:  # fmt: skip
    from contextlib import ExitStack

    with ExitStack() as stack, out.open("wb") as file:
        checkpoints = [stack.enter_context(open_checkpoint(path, (bases or {}).get(path))) for path in paths]
        return write_merged(file, checkpoints, weights, architecture or get_architecture(TINY))


def require_close(found: State, expected: State, tolerance: float = 1e-6) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == (torch.float32 if tensor.is_floating_point() else torch.int64)
        torch.testing.assert_close(found[name], tensor, rtol=tolerance, atol=tolerance, check_dtype=False)


@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.3, 0.5, 0.95, 1.0])
def test_two_mix_as_their_definition_says(states: list[State], tmp_path: Path, alpha: float) -> None:
    out = tmp_path / "out.safetensors"
    facts = merged(written(states[:2], tmp_path), [1 - alpha, alpha], out)
    require_close(load_file(out), mixed_slowly(states[:2], [1 - alpha, alpha]))
    if alpha in (0, 1):
        assert all(torch.equal(tensor, states[int(alpha)][name]) for name, tensor in load_file(out).items())
    assert facts["bytes"] == out.stat().st_size and facts["tensors"] == len(states[0])
    header = read_header(out)
    assert {tensor.dtype for tensor in header.tensors.values()} == {"F32"} and header.data_start % 8 == 0
    with open_checkpoint(out) as file:
        assert check_weights(file, get_architecture(TINY))["tolerated"] == []


def test_a_soup_is_the_mean(states: list[State], tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    for weights in ([0.25] * 4, [0.1, 0.2, 0.3, 0.4]):
        merged(written(states, tmp_path), weights, out)
        require_close(load_file(out), mixed_slowly(states, weights))
    merged(written([states[1]] * 3, tmp_path), [1 / 3] * 3, out)
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in load_file(out).items())


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.tuples(*[st.floats(-(2.0**99), 2.0**99, width=32)] * 2), min_size=1, max_size=40),
    alpha=st.floats(0, 1),
)
def test_interpolation_is_exact_at_its_ends_and_lies_between(values: list[tuple[float, float]], alpha: float) -> None:
    base, tuned = torch.tensor(values).T
    assert torch.equal(interpolate(base, tuned, 0.0), base) and torch.equal(interpolate(base, tuned, 1.0), tuned)
    found = interpolate(base, tuned, alpha)
    expected = (1 - alpha) * base.double() + alpha * tuned.double()
    slack = 1e-6 * torch.maximum(base.abs(), tuned.abs()).double() + 1e-30
    assert ((found.double() - expected).abs() <= slack).all()
    assert torch.equal(mean([base, tuned], [1 - alpha, alpha]), found)
    place = torch.empty_like(base)
    interpolate(base, tuned, alpha, place)
    assert torch.equal(place, found)


def test_shards_half_precision_and_adapters_mix_as_what_they_hold(states: list[State], tmp_path: Path) -> None:
    base, pairs = states[0], lora_state(states[0])
    halved = {name: tensor.half() for name, tensor in states[1].items()}
    adapter = write_adapter(tmp_path / "adapter", pairs)
    shards, [half] = write_shards(base, tmp_path), written([halved], tmp_path)
    out = tmp_path / "out.safetensors"
    merged([shards, half, adapter], [0.5, 0.25, 0.25], out, bases={adapter: shards})
    whole = [base, halved, merged_slowly(base, pairs)]
    require_close(load_file(out), mixed_slowly(whole, [0.5, 0.25, 0.25]), 1e-5)


def test_clips_two_layouts_mix(tmp_path: Path) -> None:
    """PLIP-style tuned and CLIP-style base: the same file as when both are in one layout, under either architecture."""
    ours = weights_of(PLAIN, tmp_path / "ours.safetensors")
    theirs = weights_of(TRANSFORMERS, tmp_path / "theirs.safetensors")
    with open_checkpoint(ours) as one, open_checkpoint(theirs) as other:
        for architecture in (PLAIN, TRANSFORMERS):
            pair = match_pair(one, other, architecture)
            apart = [
                write_state(dict(member), tmp_path / f"{number}.safetensors") for number, member in enumerate(pair)
            ]
            facts = merged([ours, theirs], [0.6, 0.4], tmp_path / "mixed.safetensors", architecture=architecture)
            merged(apart, [0.6, 0.4], tmp_path / "alike.safetensors", architecture=architecture)
            assert (tmp_path / "mixed.safetensors").read_bytes() == (tmp_path / "alike.safetensors").read_bytes()
            assert sorted(len(uses) for uses in facts["tolerated"]) == [0, 1]
            assert load_file(tmp_path / "mixed.safetensors").keys() == expected_tensors(architecture).shapes.keys()


def test_tied_tensors_are_written_once_and_found_again(tmp_path: Path) -> None:
    from tests.builders.generators import generative_architecture, write_qwen

    base = write_qwen(tmp_path / "qwen")
    architecture = generative_architecture(base.parent)
    expected = expected_tensors(architecture)
    [group] = expected.tied
    tuned = write_state(tuned_state(load_file(base)), tmp_path / "tuned.safetensors")
    out = tmp_path / "out.safetensors"
    facts = merged([base, tuned], [0.5, 0.5], out, architecture=architecture)
    assert len(group & load_file(out).keys()) == 1
    assert facts["tensors"] == len(expected.shapes) - len(group) + 1
    with open_checkpoint(out) as file:
        assert [use["tolerance"] for use in check_weights(file, architecture)["tolerated"]] == ["tied_tensors"]


def test_differences_are_told_apart(states: list[State], tmp_path: Path) -> None:
    tuned = {**states[0], "visual.proj": states[0]["visual.proj"] + 1}
    tuned = {name: tensor.half() if name == "ln_final.weight" else tensor for name, tensor in tuned.items()}
    paths = written([states[0], tuned], tmp_path)
    with open_checkpoint(paths[0]) as one, open_checkpoint(paths[1]) as other:
        found = compare_members(*match_pair(one, other, get_architecture(TINY)))
    assert found.interpolated == ("visual.proj",) and found.copied == ()
    assert len(found.equal) == len(states[0]) - 1  # ones are ones in half precision too


@pytest.mark.parametrize("weights", [[1.0], [0.5, 0.6], [1.5, -0.5], [float("nan"), 1.0], [0.2, 0.2], [], [0.02] * 50])
def test_weights_that_are_no_mixture_are_refused(weights: list[float]) -> None:
    with pytest.raises(InputError, match="merge_weights"):
        write_merged(io.BytesIO(), [], weights, get_architecture(TINY))


def test_parts_that_do_not_fit_are_told_by_their_number(states: list[State], tmp_path: Path) -> None:
    wrong = {name: tensor for name, tensor in states[1].items() if name != "logit_scale"}
    paths = written([states[0], wrong], tmp_path)
    with pytest.raises(InputError) as refused:
        merged(paths, [0.5, 0.5], tmp_path / "out.safetensors")
    [problem] = refused.value.problems
    assert problem.code == "part_other_architecture" and problem.message.startswith("Checkpoint 2 does not fit")
    assert "logit_scale" in problem.message
    broken = {**states[1], "visual.proj": states[1]["visual.proj"] * float("inf")}
    with pytest.raises(InputError, match="non_finite_weights: Checkpoint 1 .*visual.proj"):
        merged(written([broken, states[0]], tmp_path), [0.5, 0.5], tmp_path / "out.safetensors")


def test_memory_holds_one_tensor_at_a_time(
    states: list[State], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tensor is written before the next is mixed."""
    alive: list[Any] = []

    def counting(tensors: Any, weights: Any) -> torch.Tensor:
        assert sum(ref() is not None for ref in alive) <= 1
        found = mean(tensors, weights)
        alive.append(weakref.ref(found))
        return found

    monkeypatch.setattr(merging, "mean", counting)
    merged(written(states[:2], tmp_path), [0.5, 0.5], tmp_path / "out.safetensors")
    assert len(alive) == len(states[0])
