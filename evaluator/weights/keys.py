"""Which tensors of a file feed which tensors of an architecture. In: names and shapes; out: a KeyMatch or all problems.

TOLERANCES is the whole list of differences that are accepted; every use is reported, nothing else is bent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from evaluator.errors import InputError, Problem
from evaluator.weights.layouts import (
    Change,
    Shape,
    Source,
    is_open_clip,
    is_transformers_clip,
    to_open_clip,
    to_transformers,
)

EXAMPLES = 5


class Tolerance(StrEnum):
    """A key difference that changes nothing of what the model computes."""

    MODULE_PREFIX = "module_prefix"
    CLIP_LAYOUT = "clip_layout"
    TEXT_LAYOUT = "text_layout"
    POSITION_IDS = "position_ids"
    LOGIT_BIAS = "logit_bias"
    TIED_TENSORS = "tied_tensors"


TOLERANCES: dict[Tolerance, str] = {
    Tolerance.MODULE_PREFIX: "every name began with 'module.' (saved from a parallel wrapper); the prefix was dropped",
    Tolerance.CLIP_LAYOUT: "the weights were stored in the other of CLIP's two layouts, transformers' and open_clip's; "
    "names, attentions and projections were mapped",
    Tolerance.TEXT_LAYOUT: "the text tower was stored in the other of open_clip's two layouts; its names were mapped",
    Tolerance.POSITION_IDS: "position_ids buffers, which newer code computes by itself, were left out",
    Tolerance.LOGIT_BIAS: "logit_bias, which moves all scores of an image alike, was left out or taken as zero",
    Tolerance.TIED_TENSORS: "tensors that the architecture ties to another one were taken from it",
}
CUSTOM_TEXT = "text.positional_embedding"
PLAIN_TEXT_NAMES = ("positional_embedding", "text_projection", "token_embedding.", "ln_final.", "transformer.")


@dataclass(frozen=True, kw_only=True)
class KeyMatch:
    """`sources` maps each tensor of the architecture to its tensor in the file, `made` those that need a change.

    zeros: neither; they are 0. `evaluator.weights.tensors.arrange` does what this says.
    """

    sources: dict[str, str]
    zeros: tuple[str, ...]
    used: tuple[Tolerance, ...]
    made: dict[str, Source] = field(default_factory=dict)

    def facts(self) -> list[dict[str, str]]:
        """The tolerances used, as shown to the submitter and stored with the run."""
        return [{"tolerance": use.value, "what": TOLERANCES[use]} for use in self.used]


def match_keys(
    found: Mapping[str, Shape], expected: Mapping[str, Shape], *, tied: Iterable[frozenset[str]] = ()
) -> KeyMatch:
    """Match the tensors of a file with those of an architecture, exactly but for TOLERANCES.

    found, expected: name → shape. tied: groups of expected names that share one tensor. Raises InputError with
    missing, unexpected and misshaped names, all kinds at once, at most EXAMPLES names each.
    """
    used: list[Tolerance] = []
    # name as the architecture would say it -> names in the file
    in_file = {name: Source(names=(name,)) for name in found}
    in_file = _drop_module_prefix(in_file, used)
    in_file = _map_clip_layout(in_file, expected, used)
    in_file = _map_text_layout(in_file, expected, used)
    in_file = _drop_extras(in_file, expected, used)
    _fill_tied(in_file, tied, used)
    zeros: tuple[str, ...] = ()
    if "logit_bias" in expected and "logit_bias" not in in_file:
        zeros = ("logit_bias",)
        used.append(Tolerance.LOGIT_BIAS)
    _refuse_differences(in_file, found, expected, zeros)
    taken = {name: in_file[name] for name in expected if name in in_file}
    return KeyMatch(
        sources={name: source.names[0] for name, source in taken.items() if source.change is Change.NONE},
        made={name: source for name, source in taken.items() if source.change is not Change.NONE},
        zeros=zeros, used=tuple(use for use in Tolerance if use in used),
    )  # fmt: skip


InFile = dict[str, Source]


def _drop_module_prefix(in_file: InFile, used: list[Tolerance]) -> InFile:
    if not in_file or not all(name.startswith("module.") for name in in_file):
        return in_file
    used.append(Tolerance.MODULE_PREFIX)
    return {name.removeprefix("module."): source for name, source in in_file.items()}


def _map_clip_layout(in_file: InFile, expected: Mapping[str, Shape], used: list[Tolerance]) -> InFile:
    """Between transformers' CLIP and open_clip's, whose text tower may stand under `text.`."""
    if is_transformers_clip(in_file) and is_open_clip(name.removeprefix("text.") for name in expected):
        mapped = to_open_clip(in_file)
        if CUSTOM_TEXT in expected:
            mapped = {_with_text(name): source for name, source in mapped.items()}
    elif is_transformers_clip(expected) and is_open_clip(name.removeprefix("text.") for name in in_file):
        mapped = to_transformers({name.removeprefix("text."): source for name, source in in_file.items()})
    else:
        return in_file
    return _unless_lossy(in_file, mapped, Tolerance.CLIP_LAYOUT, used)


def _map_text_layout(in_file: InFile, expected: Mapping[str, Shape], used: list[Tolerance]) -> InFile:
    """CLIP keeps the text tower at the top level, CustomTextCLIP under `text.`; the modules are the same."""
    file_is_custom, wants_custom = CUSTOM_TEXT in in_file, CUSTOM_TEXT in expected
    if file_is_custom == wants_custom or not ({"positional_embedding", CUSTOM_TEXT} & in_file.keys()):
        return in_file
    if file_is_custom:
        mapped = {name.removeprefix("text."): source for name, source in in_file.items()}
    else:
        mapped = {_with_text(name): source for name, source in in_file.items()}
    return _unless_lossy(in_file, mapped, Tolerance.TEXT_LAYOUT, used)


def _with_text(name: str) -> str:
    return f"text.{name}" if name.startswith(PLAIN_TEXT_NAMES) else name


def _unless_lossy(in_file: InFile, mapped: InFile, tolerance: Tolerance, used: list[Tolerance]) -> InFile:
    """`mapped`, but `in_file` where a name would be taken twice: a tensor would go unseen."""
    before, after = ({name for source in names.values() for name in source.names} for names in (in_file, mapped))
    if before != after:
        return in_file
    used.append(tolerance)
    return mapped


def _drop_extras(in_file: InFile, expected: Mapping[str, Shape], used: list[Tolerance]) -> InFile:
    kept = {}
    for name, source in in_file.items():
        if name not in expected and (name == "position_ids" or name.endswith(".position_ids")):
            tolerance = Tolerance.POSITION_IDS
        elif name == "logit_bias" and name not in expected:
            tolerance = Tolerance.LOGIT_BIAS
        else:
            kept[name] = source
            continue
        if tolerance not in used:
            used.append(tolerance)
    return kept


def _fill_tied(in_file: InFile, tied: Iterable[frozenset[str]], used: list[Tolerance]) -> None:
    for group in tied:
        stored = sorted(name for name in group if name in in_file)
        for name in group - in_file.keys():
            if stored:
                in_file[name] = in_file[stored[0]]
                if Tolerance.TIED_TENSORS not in used:
                    used.append(Tolerance.TIED_TENSORS)


def _refuse_differences(
    in_file: InFile, found: Mapping[str, Shape], expected: Mapping[str, Shape], zeros: tuple[str, ...]
) -> None:
    missing = [name for name in expected if name not in in_file and name not in zeros]
    unexpected = list(dict.fromkeys(
        told for name, source in in_file.items() if name not in expected for told in source.names
    ))  # fmt: skip
    misshaped = [
        _told_shape(source, found, expected[name])
        for name, source in in_file.items()
        if name in expected and source.shape(found) != expected[name]
    ]
    problems = []
    for code, what, names in (
        ("missing_keys", "tensors of this architecture are not in the file", missing),
        ("unexpected_keys", "tensors in the file do not belong to this architecture", unexpected),
        ("misshaped_keys", "tensors have another shape than this architecture's", misshaped),
    ):
        if names:
            shown = ", ".join(names[:EXAMPLES]) + (" …" if len(names) > EXAMPLES else "")
            message = f"{len(names):,} {what}: {shown}. Choose the architecture the model was trained with."
            problems.append(Problem(code=code, message=message, field="file"))
    if problems:
        raise InputError(problems)


def _told_shape(source: Source, found: Mapping[str, Shape], expected: Shape) -> str:
    shapes = " and ".join(f"{name} is {list(found[name])}" for name in source.names)
    if source.change is Change.NONE:
        return f"{shapes}, not {list(expected)}"
    return f"{shapes}, which does not make {list(expected)} ({source.change})"
