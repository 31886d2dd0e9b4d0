"""A LoRA adapter as PEFT saves it. In: its two open files; out: an Adapter, and which tensors of a base it changes.

Reads headers only, never a value. Standard library only: the web looks at adapters too.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import BufferedReader
from math import prod
from typing import Any

from evaluator.errors import InputError, Problem
from evaluator.weights.adapter_config import CONFIG_NAME, AdapterConfig, read_config
from evaluator.weights.header import EXAMPLES, Header, Tensor, read_open_header

WEIGHTS_NAME = "adapter_model.safetensors"
ADAPTER_FILES = frozenset({CONFIG_NAME, WEIGHTS_NAME})
Shape = tuple[int, ...]

SIDES = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight")
WRAPPED = ".base_layer."  # PEFT keeps a layer that it wraps under this name: the output projection of attention
WEIGHT, IN_PROJECTION = ".weight", ".in_proj_weight"  # what of a module can be changed, in torch's names
UNSUPPORTED = {
    "DoRA's magnitudes": re.compile(r".*\.lora_magnitude_vector\b.*"),
    "adapters of embeddings": re.compile(r".*\.lora_embedding_[AB]\b.*"),
    "biases inside the adapter": re.compile(r".*\.lora_[AB]\.(?:default\.)?bias"),
    "whole tensors, such as resized embeddings or modules_to_save": re.compile(r"base_model\.model\.(?!.*\.lora_).+"),
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The two tensors that change one module's weight by scaling · B·A."""

    a: str  # their names in the adapter's file; a (rank, in, …), b (out, rank, 1 …)
    b: str
    rank: int
    scaling: float
    changes: Shape  # of B·A: (out, in, …)


@dataclass(frozen=True, kw_only=True)
class AdapterChange:
    """What happens to one tensor of the base; `transposed` where the base stores it as (in, out)."""

    pair: Pair
    transposed: bool


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A valid adapter: its open files by name, and its pairs by the name of the module they change."""

    files: Mapping[str, BufferedReader]
    header: Header
    config: AdapterConfig
    pairs: Mapping[str, Pair]

    @property
    def weights(self) -> BufferedReader:
        return self.files[WEIGHTS_NAME]

    @property
    def file_bytes(self) -> int:
        return sum(os.fstat(file.fileno()).st_size for file in self.files.values())

    def facts(self) -> dict[str, Any]:
        """How it changes its base: JSON, the values that occur and the last names of the modules."""
        pairs = self.pairs.values()
        return {
            "targets": sorted({module.rpartition(".")[2] for module in self.pairs}),
            "adapted_tensors": len(self.pairs),
            "ranks": sorted({pair.rank for pair in pairs}),
            "scaling": sorted({pair.scaling for pair in pairs}),
            "parameters": sum(prod(tensor.shape) for tensor in self.header.tensors.values()),
        }


def is_adapter(names: Iterable[str]) -> bool:
    """Whether files of these names are sent as an adapter: one of PEFT's two names among them is enough."""
    return not ADAPTER_FILES.isdisjoint(names)


def read_adapter(files: Mapping[str, BufferedReader], *, max_bytes: int) -> Adapter:
    """Read the config and the header of an adapter; InputError with every problem of both files and of their pairs."""
    problems = _set_problems(files)
    config = header = None
    for name in ADAPTER_FILES & files.keys():
        try:
            if name == CONFIG_NAME:
                config = read_config(files[name])
            else:
                header = read_open_header(files[name], max_file_bytes=max_bytes)
        except InputError as error:
            problems += error.problems
    pairs: dict[str, Pair] = {}
    if header is not None:
        found = _Sides()
        for name, tensor in header.tensors.items():
            found.add(name, tensor)
        problems += found.problems()
        if config is not None:
            pairs, more = _pair(found.modules, config)
            problems += more
    if problems:
        raise InputError(problems)
    assert config is not None and header is not None, "a file that is missing or wrong is a problem"
    return Adapter(files=files, header=header, config=config, pairs=pairs)


def changed_tensors(
    adapter: Adapter, base: Mapping[str, Shape], names: Mapping[str, str] | None = None
) -> dict[str, AdapterChange]:
    """Which tensors of the base's files the adapter changes, each by what.

    base: name → shape, as in the base's files. names: what else they are called (the architecture's name → the file's):
    a library may name its modules otherwise than it saves them. Raises InputError `adapter_other_base` with every
    module that the base lacks or holds in another shape.
    """
    names = names or {}
    shared = {source for source, times in Counter(names.values()).items() if times > 1}
    changes: dict[str, AdapterChange] = {}
    absent, misshaped, twice, tied = [], [], [], []
    for module, pair in adapter.pairs.items():
        source = _source(module, base, names)
        if source is None:
            absent.append(module)
            continue
        transposed = adapter.config.fan_in_fan_out and source.endswith(WEIGHT) and len(pair.changes) == 2
        wanted = pair.changes[::-1] if transposed else pair.changes
        if wanted != base[source]:
            misshaped.append(f"{module} changes a weight of {list(wanted)}, the base's is {list(base[source])}")
        elif source in changes:
            twice.append(source)
        elif source in shared:
            tied.append(source)
        changes[source] = AdapterChange(pair=pair, transposed=transposed)
    other = "Name the base that the adapter was trained on."
    problems = _listed(
        ("adapter_other_base", "modules of the adapter are not in the base", absent, other),
        ("adapter_other_base", "weights of the base have another shape", misshaped, other),
        ("adapter_tensor_twice", "tensors of the base are changed by two pairs", twice, "Save the adapter again."),
        ("adapter_unsupported", "changed tensors are shared between places of this architecture", tied,
         "Merge the adapter yourself with merge_and_unload() and send the whole checkpoint."),
    )  # fmt: skip
    if problems:
        raise InputError(problems)
    return changes


def _source(module: str, base: Mapping[str, Shape], names: Mapping[str, str]) -> str | None:
    for target in (module + WEIGHT, module + IN_PROJECTION):
        if target in base:
            return target
        if (source := names.get(target)) in base:
            return source
    return None


def _set_problems(files: Mapping[str, BufferedReader]) -> list[Problem]:
    problems = []
    if CONFIG_NAME not in files:
        message = f"An adapter needs its {CONFIG_NAME}: send the one that PEFT wrote beside {WEIGHTS_NAME}."
        problems.append(Problem(code="adapter_config_missing", message=message, field="file"))
    if WEIGHTS_NAME not in files:
        message = f"An adapter needs its {WEIGHTS_NAME}: save it with PEFT's save_pretrained and send both files."
        problems.append(Problem(code="adapter_weights_missing", message=message, field="file"))
    if more := sorted(files.keys() - ADAPTER_FILES):
        message = f"{', '.join(more[:EXAMPLES])}: an adapter is {CONFIG_NAME} and {WEIGHTS_NAME}. Leave the rest out."
        problems.append(Problem(code="file_kind", message=message, field="file"))
    return problems


@dataclass(kw_only=True)
class _Sides:
    """The tensors of an adapter's file sorted by module, and by what is wrong with them."""

    modules: dict[str, dict[str, tuple[str, Tensor]]] = field(default_factory=dict)  # module → "A", "B" → name, tensor
    unsupported: dict[str, list[str]] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)

    def add(self, name: str, tensor: Tensor) -> None:
        if match := SIDES.fullmatch(name):
            sides = self.modules.setdefault(match["module"].replace(WRAPPED, "."), {})
            if match["side"] in sides:
                self.twice.append(name)
            sides[match["side"]] = name, tensor
        elif what := next((what for what, names in UNSUPPORTED.items() if names.fullmatch(name)), None):
            self.unsupported.setdefault(what, []).append(name)
        else:
            self.strange.append(name)

    def problems(self) -> list[Problem]:
        merge = "That is not supported: merge it yourself with merge_and_unload() and send the whole checkpoint."
        return _listed(
            *(("adapter_unsupported", f"tensors are {what}", names, merge) for what, names in self.unsupported.items()),
            ("adapter_tensor_name", "tensors are no part of a LoRA as PEFT names them", self.strange,
             "Save the adapter with PEFT's save_pretrained."),
            ("adapter_tensor_twice", "tensors stand for the same side of the same module", self.twice,
             "Save the adapter again with one name for each."),
            ("adapter_half_pair", "modules have only one of lora_A and lora_B",
             [module for module, sides in self.modules.items() if len(sides) == 1], "Save the adapter again whole."),
        )  # fmt: skip


def _pair(
    modules: Mapping[str, Mapping[str, tuple[str, Tensor]]], config: AdapterConfig
) -> tuple[dict[str, Pair], list[Problem]]:
    pairs: dict[str, Pair] = {}
    ranks, untargeted = [], []
    for module, sides in modules.items():
        if len(sides) < 2:
            continue
        (a_name, a), (b_name, b) = sides["A"], sides["B"]
        known_as = module.removesuffix(".out_proj") if f"{WRAPPED}out_proj." in a_name else module
        rank = config.rank_of(known_as)
        fits = len(a.shape) == len(b.shape) > 1 and b.shape[2:] == (1,) * (len(b.shape) - 2)
        if not fits or a.shape[0] != rank or b.shape[1] != rank:
            ranks.append(f"{module} has {list(a.shape)} and {list(b.shape)} for rank {rank}")
        if not config.targets_module(known_as):
            untargeted.append(module)
        if fits:
            pairs[module] = Pair(
                a=a_name, b=b_name, rank=rank, scaling=config.scaling_of(known_as), changes=(b.shape[0], *a.shape[1:])
            )
    unchanged = f"Send the {CONFIG_NAME} that was saved with this adapter."
    return pairs, _listed(
        ("adapter_rank", "pairs of the adapter have another rank than the config says", ranks, unchanged),
        ("adapter_untargeted", "modules of the adapter are not targets of the config", untargeted, unchanged),
    )


def _listed(*kinds: tuple[str, str, list[str], str]) -> list[Problem]:
    return [
        Problem(
            code=code, field="file",
            message=f"{len(names):,} {what}: {', '.join(names[:EXAMPLES])}{' …' * (len(names) > EXAMPLES)}. {do}",
        )
        for code, what, names, do in kinds if names
    ]  # fmt: skip
