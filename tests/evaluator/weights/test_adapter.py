"""LoRA adapters: merged as PEFT merges them, refused by name where they are more than that or belong elsewhere."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluator.architectures.registry import get_architecture
from evaluator.cli import main
from evaluator.errors import InputError
from evaluator.weights.adapter import changed_tensors, read_adapter
from evaluator.weights.adapter_config import MAX_CONFIG_BYTES
from evaluator.weights.check import check_weights
from evaluator.weights.checkpoint import checkpoint_paths, open_checkpoint, open_files, read_checkpoint
from evaluator.weights.tensors import map_tensors, merge
from tests.builders.adapters import BLOCK, CHANGED, PEFT_CONFIG, lora_state, merged_slowly, write_adapter
from tests.builders.weights import TINY, tiny_state, write_shards, write_state

FIRST = next(iter(CHANGED))
A, B = (f"base_model.model.{FIRST}.lora_{side}.weight" for side in "AB")


@pytest.fixture(scope="module")
def base_state() -> dict[str, torch.Tensor]:
    return tiny_state(seed=2)


@pytest.fixture(scope="module")
def base(base_state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_state(base_state, tmp_path_factory.mktemp("base") / "base.safetensors")


@pytest.fixture(scope="module")
def pairs(base_state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return lora_state(base_state)


def check(path: Path, base: Path | None) -> dict[str, Any]:
    with open_checkpoint(path, base) as weights:
        return check_weights(weights, get_architecture(TINY))


def codes(path: Path, base: Path | None) -> set[str]:
    with pytest.raises(InputError) as refused:
        check(path, base)
    assert all(problem.message.endswith(".") and problem.field for problem in refused.value.problems)
    return set(refused.value.counts)


@pytest.mark.parametrize(
    ("config", "ranks"),
    [
        ({}, {}),
        ({"use_rslora": True, "lora_alpha": 2.5}, {}),
        ({"target_modules": r".*\.(c_fc|c_proj|attn|conv1)"}, {}),
        ({"target_modules": None, "init_lora_weights": "gaussian", "future_option": None}, {}),
        (
            {"rank_pattern": {"0.mlp.c_fc": 5, "attn": 2}, "alpha_pattern": {"attn": 0.5, "conv1": -8}},
            {FIRST: 5, f"{BLOCK}.2.attn": 2, f"{BLOCK}.2.attn.base_layer.out_proj": 2},
        ),
    ],
)
def test_merged_as_the_slow_definition(
    base_state: dict[str, torch.Tensor], base: Path, tmp_path: Path, config: dict[str, Any], ranks: dict[str, int]
) -> None:
    state = lora_state(base_state, ranks)
    path = write_adapter(tmp_path, state, **config)
    expected = merged_slowly(base_state, state, **config)
    with open_checkpoint(path, base) as weights:
        found = map_tensors(weights)
        assert set(found) == set(expected)
        for name, tensor in expected.items():
            assert (found[name] - tensor).abs().max() < 1e-5
            assert torch.equal(found[name], base_state[name]) == (name not in CHANGED.values())


def test_stored_halves_and_conv1d_merge_in_float32() -> None:
    made = torch.Generator().manual_seed(1)
    weight, a, b = (torch.randn(shape, generator=made) for shape in ((4, 6), (2, 4), (6, 2)))
    halves = merge(weight.half(), a.bfloat16(), b.half(), 0.5, transposed=True)
    for row in range(4):  # a Conv1D stores (in, out)
        for column in range(6):
            delta = sum(b.half().double()[column, r] * a.bfloat16().double()[r, row] for r in range(2))
            assert abs(halves[row, column] - (weight.half().double()[row, column] + 0.5 * delta)) < 1e-6
    assert halves.dtype is torch.float32


def test_convolution_merges_as_peft_does(base_state: dict[str, torch.Tensor], pairs: dict[str, torch.Tensor]) -> None:
    """PEFT's own words for kernels larger than one pixel: conv2d of Aᵀ with B, transposed."""
    a, b = (pairs[f"base_model.model.visual.conv1.lora_{side}.weight"] for side in "AB")
    delta = torch.nn.functional.conv2d(a.transpose(0, 1), b).transpose(0, 1) * 2.0
    found = merge(base_state["visual.conv1.weight"], a, b, 2.0, transposed=False)
    assert (found - (base_state["visual.conv1.weight"] + delta)).abs().max() < 1e-5


def test_facts_name_the_base_and_what_changes(
    base_state: dict[str, torch.Tensor], base: Path, pairs: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    path = write_adapter(tmp_path, pairs)
    facts = check(path, base)
    digests = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in checkpoint_paths(path).items()}
    digests["base"] = hashlib.sha256(base.read_bytes()).hexdigest()
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))
    assert facts["sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    assert facts["base"] == {"name": "base.safetensors", "sha256": digests["base"]}
    assert facts["adapter"] == {
        "targets": ["attn", "c_fc", "c_proj", "conv1", "out_proj"], "adapted_tensors": 6, "ranks": [3],
        "scaling": [2.0], "parameters": sum(tensor.numel() for tensor in pairs.values()),
    }  # fmt: skip
    merged = check(write_state(merged_slowly(base_state, pairs), tmp_path / "merged.safetensors"), None)
    same = {name for name, value in facts["tensor_hashes"].items() if merged["tensor_hashes"][name] == value}
    assert same >= facts["tensor_hashes"].keys() - set(CHANGED.values())
    shards = write_shards(base_state, tmp_path)
    assert check(path, shards)["canonical_hash"] == facts["canonical_hash"]
    assert check(path, shards)["sha256"] != facts["sha256"]


def test_names_of_the_architecture_find_tensors_that_the_file_calls_otherwise(
    base_state: dict[str, torch.Tensor], base: Path, pairs: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """An adapter knows the modules by what the library calls them, not by what a file was saved under."""
    path = write_adapter(tmp_path, pairs)
    wrapped = write_state({f"module.{name}": tensor for name, tensor in base_state.items()}, tmp_path / "w.safetensors")
    assert check(path, wrapped)["canonical_hash"] == check(path, base)["canonical_hash"]


def without(**changes: Any) -> Callable[[Path, dict[str, torch.Tensor]], Path]:
    return lambda folder, state: write_adapter(folder, state, **changes)


def renamed(old: str, new: str) -> Callable[[Path, dict[str, torch.Tensor]], Path]:
    return lambda folder, state: write_adapter(
        folder, {new if name == old else name: tensor for name, tensor in state.items()}
    )


def with_more(**tensors: torch.Tensor) -> Callable[[Path, dict[str, torch.Tensor]], Path]:
    return lambda folder, state: write_adapter(folder, state | {f"base_model.model.{n}": t for n, t in tensors.items()})


def raw(content: bytes) -> Callable[[Path, dict[str, torch.Tensor]], Path]:
    def write(folder: Path, state: dict[str, torch.Tensor]) -> Path:
        path = write_adapter(folder, state)
        path.with_name("adapter_config.json").write_bytes(content)
        return path

    return write


def text(**changes: Any) -> bytes:
    return json.dumps(PEFT_CONFIG | changes).encode()


VECTOR = torch.ones(512)
ROWS = torch.ones(3, 49408)
UNSUPPORTED_OPTIONS: dict[str, Any] = {
    "use_dora": True, "modules_to_save": ["classifier"], "trainable_token_indices": [1], "layer_replication": [[0, 2]],
    "megatron_config": {"a": 1}, "lora_bias": True, "target_parameters": ["proj"], "use_qalora": True,
    "use_bdlora": True, "alora_invocation_tokens": [1], "arrow_config": {"top_k": 1}, "kasa_config": {"a": 1},
    "velora_config": {"a": 1}, "monteclora_config": {"a": 1}, "ensure_weight_tying": True, "bias": "all",
    "init_lora_weights": "pissa_niter_4",
}  # fmt: skip
HOSTILE: dict[str, tuple[Callable[[Path, dict[str, torch.Tensor]], Path], set[str]]] = {
    **{key: (without(**{key: value}), {"adapter_unsupported"}) for key, value in UNSUPPORTED_OPTIONS.items()},
    "start of the base": (without(init_lora_weights="olora"), {"adapter_unsupported"}),
    "start is no word": (without(init_lora_weights={"a": []}), {"adapter_unsupported"}),
    "another method": (without(peft_type="LOHA"), {"adapter_kind"}),
    "no method": (raw(json.dumps({"r": 3, "lora_alpha": 6}).encode()), {"adapter_kind"}),
    "unknown switch": (without(use_magic=True), {"adapter_unknown_key"}),
    "code from a hub": (without(auto_map={"AutoModel": "x.Y"}), {"adapter_unknown_key"}),
    "rank zero": (without(r=0), {"adapter_value"}),
    "rank negative": (without(r=-3), {"adapter_value"}),
    "rank true": (without(r=True), {"adapter_value"}),
    "rank fraction": (without(r=3.0), {"adapter_value"}),
    "rank huge": (without(r=10**9), {"adapter_value"}),
    "rank missing": (raw(json.dumps({"peft_type": "LORA", "lora_alpha": 1}).encode()), {"adapter_value"}),
    "alpha text": (without(lora_alpha="6"), {"adapter_value"}),
    "alpha NaN": (raw(text(lora_alpha=float("nan"))), {"adapter_value"}),
    "alpha infinite": (raw(text().replace(b'"lora_alpha": 6', b'"lora_alpha": 1e999')), {"adapter_value"}),
    "alpha digits": (raw(text().replace(b'"lora_alpha": 6', b'"lora_alpha": ' + b"9" * 400)), {"adapter_value"}),
    "alpha digits past parsing": (
        raw(text().replace(b'"lora_alpha": 6', b'"lora_alpha": ' + b"9" * 9_000)), {"adapter_config_not_json"},
    ),
    "rank pattern list": (without(rank_pattern=["c_fc"]), {"adapter_value"}),
    "rank pattern value": (without(rank_pattern={"c_fc": "5"}), {"adapter_value"}),
    "alpha pattern value": (without(alpha_pattern={"c_fc": [1]}), {"adapter_value"}),
    "pattern that runs for ever": (without(rank_pattern={"(a+)+$": 5}), {"adapter_pattern"}),
    "pattern by escape": (without(alpha_pattern={r"mlp\.c_fc": 5}), {"adapter_pattern"}),
    "targets a number": (without(target_modules=7), {"adapter_value"}),
    "targets hold a list": (without(target_modules=[["c_fc"]]), {"adapter_value"}),
    "targets hold a pattern": (without(target_modules=[".*"]), {"adapter_pattern"}),
    "targets hold a path": (without(target_modules=["../../etc"]), {"adapter_pattern"}),
    "excluded by pattern": (without(exclude_modules=".*text.*"), {"adapter_pattern"}),
    "layers a text": (without(layers_to_transform="0"), {"adapter_value"}),
    "layers true": (without(layers_to_transform=[True]), {"adapter_value"}),
    "fan is no switch": (without(fan_in_fan_out="yes"), {"adapter_value"}),
    "rslora is no switch": (without(use_rslora=1), {"adapter_value"}),
    "not json": (raw(b"{"), {"adapter_config_not_json"}),
    "not utf-8": (raw(b"\xff\xfe"), {"adapter_config_not_json"}),
    "empty": (raw(b""), {"adapter_config_not_json"}),
    "a list": (raw(b"[1]"), {"adapter_config_not_json"}),
    "a pickle": (raw(b"\x80\x04\x95\x00"), {"adapter_config_not_json"}),
    "twice": (raw(text()[:-1] + b', "r": 8}'), {"duplicate_name"}),
    "twice inside": (raw(text().replace(b'"rank_pattern": {', b'"rank_pattern": {"a": 1, "a": 2')), {"duplicate_name"}),
    "deep": (raw(b"[" * 100_000), {"adapter_config_too_complex"}),
    "large": (raw(b" " * (MAX_CONFIG_BYTES + 1)), {"adapter_config_too_large"}),
    "all at once": (
        without(peft_type="X", use_dora=True, r=0, more=1, target_modules=["("]),
        {"adapter_kind", "adapter_unsupported", "adapter_value", "adapter_unknown_key", "adapter_pattern"},
    ),
    "half a pair": (renamed(B, B.replace("c_fc", "c_proj")), {"adapter_half_pair"}),
    "magnitudes": (with_more(**{f"{FIRST}.lora_magnitude_vector": VECTOR}), {"adapter_unsupported"}),
    "embedding": (with_more(**{"token_embedding.lora_embedding_A": ROWS}), {"adapter_unsupported"}),
    "biases": (with_more(**{f"{FIRST}.lora_B.bias": VECTOR}), {"adapter_unsupported"}),
    "resized embedding": (with_more(**{"token_embedding.weight": torch.ones(9, 64)}), {"adapter_unsupported"}),
    "other naming": (renamed(A, f"lora_unet_{FIRST}.lora_down.weight"), {"adapter_tensor_name", "adapter_half_pair"}),
    "one side twice": (
        with_more(**{f"{FIRST}.lora_A.default.weight": torch.ones(3, 128)}), {"adapter_tensor_twice"},
    ),
    "rank of the config": (without(r=4), {"adapter_rank"}),
    "rank of a pattern": (without(rank_pattern={"c_fc": 9}), {"adapter_rank"}),
    "not a target": (without(target_modules=["c_fc", "attn", "conv1"]), {"adapter_untargeted"}),
    "excluded": (without(exclude_modules=["conv1"]), {"adapter_untargeted"}),
    "another layer": (without(layers_to_transform=[0]), {"adapter_untargeted"}),
    "module of another base": (
        lambda folder, state: write_adapter(
            folder, {name.replace(f"{BLOCK}.0", f"{BLOCK}.31"): tensor for name, tensor in state.items()}
        ), {"adapter_other_base"},
    ),
    "shape of another base": (
        lambda folder, state: write_adapter(folder, state | {A: torch.ones(3, 768)}), {"adapter_other_base"},
    ),
    "conv1d of another base": (without(fan_in_fan_out=True), {"adapter_other_base"}),
    "attention named twice": (
        with_more(
            **{f"{BLOCK}.2.attn.out_proj.lora_{side}.weight": torch.ones(shape)
               for side, shape in (("A", (3, 128)), ("B", (128, 3)))}
        ), {"adapter_tensor_twice", "adapter_untargeted"},
    ),
    "NaN": (
        lambda folder, state: write_adapter(folder, state | {A: torch.full((3, 128), float("nan"))}),
        {"non_finite_weights"},
    ),
    "overflow": (without(lora_alpha=1e300), {"non_finite_weights"}),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_adapters(case: str, base: Path, pairs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    write, expected = HOSTILE[case]
    assert codes(write(tmp_path, pairs), base) == expected


def test_what_is_unsupported_is_said_by_name(base: Path, pairs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = write_adapter(tmp_path, pairs, **UNSUPPORTED_OPTIONS)
    with pytest.raises(InputError) as refused:
        check(path, base)
    [problem] = refused.value.problems
    for name in ("DoRA", *UNSUPPORTED_OPTIONS):
        assert name in problem.message
    assert "merge_and_unload()" in problem.message


def test_incomplete_sets_and_wrong_bases(base: Path, pairs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = write_adapter(tmp_path, pairs)
    config = path.with_name("adapter_config.json")
    assert codes(path, None) == {"base_missing"}
    assert codes(path, path) == {"base_is_adapter"}
    assert codes(base, base) == {"base_not_needed"}
    assert codes(path, config) == {"base_is_adapter"}
    with open_files({"adapter_config.json": config}) as files, pytest.raises(InputError) as refused:
        read_checkpoint(files)
    assert set(refused.value.counts) == {"adapter_weights_missing"}
    with open_files({path.name: path, config.name: config, "README.md": config}) as files:
        with pytest.raises(InputError) as refused:
            read_adapter(files, max_bytes=10)
    assert set(refused.value.counts) == {"file_kind", "file_too_large"}
    config.unlink()
    assert codes(path, base) == {"adapter_config_missing"}
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"PK\x03\x04 no weights")
    assert codes(write_adapter(tmp_path, pairs), broken) == {"zip_archive"}


def test_an_adapter_of_a_shared_tensor_is_refused(pairs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """Unmerged, an adapter of a tied output layer leaves the embedding alone; merged it would not."""
    path = write_adapter(tmp_path, pairs)
    with open_files(checkpoint_paths(path)) as files:
        adapter = read_adapter(files, max_bytes=2**30)
    shapes = {name: tuple(tiny_state()[name].shape) for name in CHANGED.values()}
    assert len(changed_tensors(adapter, shapes, {name: name for name in shapes})) == 6
    with pytest.raises(InputError) as refused:
        changed_tensors(adapter, shapes, {"one": CHANGED[FIRST], "two": CHANGED[FIRST]})
    assert set(refused.value.counts) == {"adapter_unsupported"}


def test_validate_on_the_command_line(
    base: Path, pairs: dict[str, torch.Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(write_adapter(tmp_path, pairs))
    assert main(["validate", path, "--base", str(base), "--architecture", TINY]) == 0
    told = capsys.readouterr().out
    assert "base: base.safetensors, sha256 " in told
    assert "adapter: 6 tensors changed (attn, c_fc, c_proj, conv1, out_proj), scaling 2" in told
    assert main(["validate", path, "--architecture", TINY]) == 2
    assert "base_missing: base:" in capsys.readouterr().err
    assert main(["validate", path, "--base", str(tmp_path / "none"), "--architecture", TINY]) == 2
    assert "no_such_file" in capsys.readouterr().err
