"""PEFT's adapter_config.json, read through an allow-list. In: an open file; out: an AdapterConfig, or all problems.

It comes from strangers and says how a LoRA is merged, so nothing in it is taken on trust, run (its patterns are regular
expressions) or followed (it names a model hub). Standard library only.
"""

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from evaluator.errors import InputError, Problem

CONFIG_NAME = "adapter_config.json"
MAX_CONFIG_BYTES = 256 * 1024
MAX_BRACKETS = 1_000  # PEFT writes about a dozen; more in texts means a bomb
MAX_RANK = 8_192
MAX_NAMES = 10_000  # modules listed, or patterns
MODULE_NAME = re.compile(r"[A-Za-z0-9_.]{1,256}")
EXAMPLES = 5
WRITE_AGAIN = "Send the adapter_config.json that PEFT wrote beside the adapter, unchanged."

# Keys that say how the adapter came to be, or where its training looked for things; nothing of them is used.
IGNORED = frozenset({
    "auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "inference_mode", "loftq_config",
    "lora_dropout", "lora_ga_config", "megatron_core", "peft_version", "qalora_group_size", "revision",
    "runtime_config", "task_type", "layers_pattern",
})  # fmt: skip
# Keys of what is no plain W + scaling · B·A; null, false and empty mean that it was not used.
UNSUPPORTED = {
    "use_dora": "DoRA (use_dora)",
    "modules_to_save": "whole modules trained beside the adapter (modules_to_save)",
    "trainable_token_indices": "trained rows of embeddings (trainable_token_indices)",
    "layer_replication": "replicated layers (layer_replication)",
    "megatron_config": "Megatron's parallel layers (megatron_config)",
    "lora_bias": "biases inside the adapter (lora_bias)",
    "target_parameters": "adapters of bare parameters (target_parameters)",
    "use_qalora": "QALoRA (use_qalora)",
    "use_bdlora": "block-diagonal LoRA (use_bdlora)",
    "alora_invocation_tokens": "activated LoRA (alora_invocation_tokens)",
    "arrow_config": "Arrow routing (arrow_config)",
    "kasa_config": "KaSA (kasa_config)",
    "velora_config": "VeLoRA (velora_config)",
    "monteclora_config": "MonteCLoRA (monteclora_config)",
    "ensure_weight_tying": "adapters tied to each other (ensure_weight_tying)",
}
READ = frozenset({
    "peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "fan_in_fan_out", "bias",
    "init_lora_weights", "target_modules", "exclude_modules", "layers_to_transform",
})  # fmt: skip
KEEPS_THE_BASE = (True, False, "gaussian", "orthogonal", "eva")  # every other start changes the base's own weights


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """What merging needs. `targets` and `excluded` are None where the config names no list: the tensors decide."""

    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]  # module name, or the end of one → rank; with a leading '^' the whole name
    alpha_pattern: Mapping[str, float]
    rank_stabilised: bool
    fan_in_fan_out: bool  # the base stores these weights as (in, out)
    targets: tuple[str, ...] | None
    excluded: tuple[str, ...]
    layers: frozenset[int]  # none: every layer

    def rank_of(self, module: str) -> int:
        """The rank that PEFT would give the module: the first pattern that names it, or the common one."""
        return next((rank for key, rank in self.rank_pattern.items() if _names(key, module)), self.rank)

    def scaling_of(self, module: str) -> float:
        """alpha / r, or alpha / √r where rank-stabilised; rank and alpha look up their own patterns."""
        alpha = next((alpha for key, alpha in self.alpha_pattern.items() if _names(key, module)), self.alpha)
        rank = self.rank_of(module)
        return alpha / math.sqrt(rank) if self.rank_stabilised else alpha / rank

    def targets_module(self, module: str) -> bool:
        """Whether the lists of the config name the module; True where they leave it to the tensors."""
        if any(_names(key, module) for key in self.excluded):
            return False
        if self.layers and not any(part.isdigit() and int(part) in self.layers for part in module.split(".")):
            return False
        return self.targets is None or any(_names(key, module) for key in self.targets)


def _names(key: str, module: str) -> bool:
    """PEFT's rule for plain names: the module itself, or the end of its name after a dot; '^' wants the whole name."""
    if key.startswith("^"):
        return module == key[1:]
    return module == key or module.endswith(f".{key}")


def read_config(file: BinaryIO) -> AdapterConfig:
    """Read and check an open adapter_config.json; InputError with every problem in it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size > MAX_CONFIG_BYTES:
        _refuse("adapter_config_too_large", f"It has {size:,} bytes; at most {MAX_CONFIG_BYTES:,} are read.")
    content = _parse(file.read(MAX_CONFIG_BYTES))
    if not isinstance(content, dict):
        _refuse("adapter_config_not_json", "It is not a JSON object.")
    problems = [*_kind_problems(content), *_unknown_problems(content), *_value_problems(content)]
    if problems:
        raise InputError(problems)
    targets, layers = content.get("target_modules"), content.get("layers_to_transform")
    return AdapterConfig(
        rank=content["r"], alpha=float(content["lora_alpha"]),
        rank_pattern=content.get("rank_pattern") or {},
        alpha_pattern={key: float(alpha) for key, alpha in (content.get("alpha_pattern") or {}).items()},
        rank_stabilised=bool(content.get("use_rslora")), fan_in_fan_out=bool(content.get("fan_in_fan_out")),
        targets=tuple(targets) if isinstance(targets, list) else None,  # a text is a pattern, and patterns never run
        excluded=tuple(excluded) if isinstance(excluded := content.get("exclude_modules"), list) else (),
        layers=frozenset([layers] if isinstance(layers, int) else layers or ()),
    )  # fmt: skip


def _refuse(code: str, sentence: str) -> NoReturn:
    raise InputError.single(code, f"{CONFIG_NAME}: {sentence} {WRITE_AGAIN}", field="file")


class _NameTwiceError(ValueError):
    """Raised inside the JSON parser."""


def _parse(raw: bytes) -> Any:
    if raw.count(b"{") + raw.count(b"[") > MAX_BRACKETS:
        _refuse("adapter_config_too_complex", "It holds far more than settings.")
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
    except _NameTwiceError as twice:
        _refuse("duplicate_name", f"It names {twice} twice, so which one counts is open.")
    except (ValueError, RecursionError):  # UnicodeDecodeError among them
        _refuse("adapter_config_not_json", "It is not valid JSON.")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _NameTwiceError(_shown(name))
        found[name] = value
    return found


def _shown(value: object) -> str:
    """A stranger's text, safe to print."""
    return ascii(value)[:80]


def _problem(code: str, sentence: str) -> Problem:
    return Problem(code=code, message=f"{CONFIG_NAME}: {sentence}", field="file")


def _is_off(value: object) -> bool:
    return value is None or value is False or value == {} or value == [] or value == ""


def _kind_problems(content: Mapping[str, Any]) -> Iterator[Problem]:
    kind = content.get("peft_type")
    if kind != "LORA":
        yield _problem(
            "adapter_kind", f'peft_type is {_shown(kind)}; only "LORA" is merged. Merge it yourself with '
            "merge_and_unload() and send the whole checkpoint.",
        )  # fmt: skip
    used = [words for key, words in UNSUPPORTED.items() if not _is_off(content.get(key))]
    if content.get("bias", "none") != "none":
        used.append("trained biases (bias)")
    start = content.get("init_lora_weights", True)
    if not any(start is known or (isinstance(start, str) and start == known) for known in KEEPS_THE_BASE):
        used.append(f"a start that changes the base's weights (init_lora_weights {_shown(start)})")
    if used:
        yield _problem(
            "adapter_unsupported", f"The adapter uses {', '.join(used)}, which is not supported. Merge it yourself "
            "with merge_and_unload() and send the whole checkpoint.",
        )  # fmt: skip


def _unknown_problems(content: Mapping[str, Any]) -> Iterator[Problem]:
    """A key of a newer PEFT that is switched off says nothing; one that is on may mean anything."""
    known = READ | IGNORED | UNSUPPORTED.keys()
    unknown = [_shown(key) for key, value in content.items() if key not in known and not _is_off(value)]
    if unknown:
        shown = ", ".join(unknown[:EXAMPLES]) + " …" * (len(unknown) > EXAMPLES)
        yield _problem(
            "adapter_unknown_key", f"What {shown} does to the weights is not known here. Merge the adapter yourself "
            "with merge_and_unload() and send the whole checkpoint.",
        )  # fmt: skip


def _value_problems(content: Mapping[str, Any]) -> Iterator[Problem]:
    if not _is_rank(content.get("r")):
        yield _wrong("r", f"a whole number from 1 to {MAX_RANK:,}")
    if not _is_finite(content.get("lora_alpha")):
        yield _wrong("lora_alpha", "a finite number")
    for key, is_good, wanted in (
        ("rank_pattern", _is_rank, f"module names, each with a whole number from 1 to {MAX_RANK:,}"),
        ("alpha_pattern", _is_finite, "module names, each with a finite number"),
    ):
        pattern = content.get(key)
        if pattern is not None and not (isinstance(pattern, dict) and all(map(is_good, pattern.values()))):
            yield _wrong(key, wanted)
        elif pattern:
            yield from _name_problems(key, [name.removeprefix("^") for name in pattern])
    for key in ("use_rslora", "fan_in_fan_out"):
        if not isinstance(content.get(key, False), bool | None):
            yield _wrong(key, "true or false")
    for key in ("target_modules", "exclude_modules"):
        yield from _list_problems(key, content.get(key))
    layers = content.get("layers_to_transform")
    numbers = layers if isinstance(layers, list) else [] if layers is None else [layers]
    if len(numbers) > MAX_NAMES or not all(type(number) is int and 0 <= number < 10**6 for number in numbers):
        yield _wrong("layers_to_transform", "a list of layer numbers")


def _wrong(key: str, wanted: str) -> Problem:
    return _problem("adapter_value", f"{key} must be {wanted}. {WRITE_AGAIN}")


def _is_rank(value: object) -> bool:
    return type(value) is int and 1 <= value <= MAX_RANK


def _is_finite(value: object) -> bool:
    """JSON's NaN, Infinity and 1e999 are numbers to Python, and integers may have thousands of digits."""
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**53)


def _list_problems(key: str, value: object) -> Iterator[Problem]:
    """A text is a regular expression or 'all-linear': it is not run, so `exclude_modules` could not be held to."""
    if value is None or (isinstance(value, str) and key == "target_modules"):
        return
    if isinstance(value, str):
        yield _problem(
            "adapter_pattern", f"{key} is a regular expression, which is never run here. List the names of the modules."
        )
    elif not isinstance(value, list) or not all(isinstance(name, str) for name in value) or len(value) > MAX_NAMES:
        yield _wrong(key, f"a list of at most {MAX_NAMES:,} module names")
    else:
        yield from _name_problems(key, value)


def _name_problems(key: str, names: list[str]) -> Iterator[Problem]:
    strange = [_shown(name) for name in names if not MODULE_NAME.fullmatch(name)]
    if strange or len(names) > MAX_NAMES:
        shown = ", ".join(strange[:EXAMPLES]) + " …" * (len(strange) > EXAMPLES)
        yield _problem(
            "adapter_pattern", f"{key} holds {shown or 'too many names'}: only plain module names are read, for "
            "regular expressions from others are never run. List the names of the modules.",
        )  # fmt: skip
