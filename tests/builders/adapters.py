"""LoRA adapters of the tiny architecture as PEFT saves them, and what merging one means, written out slowly."""

import json
import math
from pathlib import Path
from typing import Any

from tests.builders.weights import write_state

# What PEFT 0.19 writes, key by key.
PEFT_CONFIG: dict[str, Any] = {
    "alora_invocation_tokens": None, "alpha_pattern": {}, "arrow_config": None, "auto_mapping": None,
    "base_model_name_or_path": "someone/some-clip", "bias": "none", "corda_config": None,
    "ensure_weight_tying": False, "eva_config": None, "exclude_modules": None, "fan_in_fan_out": False,
    "inference_mode": True, "init_lora_weights": True, "layer_replication": None, "layers_pattern": None,
    "layers_to_transform": None, "loftq_config": {}, "lora_alpha": 6, "lora_bias": False, "lora_dropout": 0.05,
    "lora_ga_config": None, "megatron_config": None, "megatron_core": "megatron.core", "modules_to_save": None,
    "peft_type": "LORA", "peft_version": "0.19.1", "qalora_group_size": 16, "r": 3, "rank_pattern": {},
    "revision": None, "target_modules": ["c_fc", "c_proj", "attn", "conv1"], "target_parameters": None,
    "task_type": "FEATURE_EXTRACTION", "trainable_token_indices": None, "use_bdlora": None, "use_dora": False,
    "use_qalora": False, "use_rslora": False,
}  # fmt: skip
BLOCK = "visual.transformer.resblocks"
# Linear layers of both towers, a whole attention (input and output projection) and the convolution of the patches.
CHANGED = {
    f"{BLOCK}.0.mlp.c_fc": f"{BLOCK}.0.mlp.c_fc.weight",
    f"{BLOCK}.3.mlp.c_proj": f"{BLOCK}.3.mlp.c_proj.weight",
    "transformer.resblocks.1.mlp.c_fc": "transformer.resblocks.1.mlp.c_fc.weight",
    f"{BLOCK}.2.attn": f"{BLOCK}.2.attn.in_proj_weight",
    f"{BLOCK}.2.attn.base_layer.out_proj": f"{BLOCK}.2.attn.out_proj.weight",
    "visual.conv1": "visual.conv1.weight",
}


def lora_state(base: dict[str, Any], ranks: dict[str, int] | None = None, *, seed: int = 7) -> dict[str, Any]:
    """Random pairs for the modules of CHANGED, rank 3 unless `ranks` says otherwise, large enough to change answers."""
    import torch

    made = torch.Generator().manual_seed(seed)
    state = {}
    for module, tensor in CHANGED.items():
        out, *rest = base[tensor].shape
        rank = (ranks or {}).get(module, 3)
        a, b = (rank, *rest), (out, rank, *[1] * (len(rest) - 1))
        state[f"base_model.model.{module}.lora_A.weight"] = torch.randn(a, generator=made) * 0.2
        state[f"base_model.model.{module}.lora_B.weight"] = torch.randn(b, generator=made) * 0.2
    return state


def write_adapter(folder: Path, state: dict[str, Any], **config: Any) -> Path:
    """Write both files of an adapter; returns the path of its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps(PEFT_CONFIG | config, indent=2))
    return write_state(state, folder / "adapter_model.safetensors")


def merged_slowly(base: dict[str, Any], adapter: dict[str, Any], **config: Any) -> dict[str, Any]:
    """The base's state as PEFT's merge_and_unload makes it, one output row after the other in float64."""
    import torch

    settings = PEFT_CONFIG | config
    merged = dict(base)
    for module, name in CHANGED.items():
        side_a = adapter[f"base_model.model.{module}.lora_A.weight"].double()
        side_b = adapter[f"base_model.model.{module}.lora_B.weight"].double()
        known_as = module.replace(".base_layer.out_proj", "")
        rank = _by_pattern(settings["rank_pattern"], known_as, settings["r"])
        alpha = _by_pattern(settings["alpha_pattern"], known_as, settings["lora_alpha"])
        scaling = alpha / math.sqrt(rank) if settings["use_rslora"] else alpha / rank
        weight = base[name].double().clone()
        for row in range(weight.shape[0]):
            for inner in range(rank):
                weight[row] += scaling * side_b[row, inner].item() * side_a[inner]
        assert not torch.equal(weight, base[name].double())
        merged[name] = weight.float()
    return merged


def _by_pattern(pattern: dict[str, Any], module: str, otherwise: Any) -> Any:
    return next((value for key, value in pattern.items() if module == key or module.endswith("." + key)), otherwise)
