"""Which tensors of a file feed which tensors of an architecture. In: names and shapes; out: a KeyMatch or all problems.

TOLERANCES is the whole list of differences that are accepted; every use is reported, nothing else is bent.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from evaluator.errors import InputError, Problem

Shape = tuple[int, ...]
EXAMPLES = 5


class Tolerance(StrEnum):
    """A key difference that changes nothing of what the model computes."""

    MODULE_PREFIX = "module_prefix"
    TEXT_LAYOUT = "text_layout"
    VLM_LAYOUT = "vlm_layout"
    POSITION_IDS = "position_ids"
    LOGIT_BIAS = "logit_bias"
    TIED_TENSORS = "tied_tensors"


TOLERANCES: dict[Tolerance, str] = {
    Tolerance.MODULE_PREFIX: "every name began with 'module.' (saved from a parallel wrapper); the prefix was dropped",
    Tolerance.TEXT_LAYOUT: "the text tower was stored in the other of open_clip's two layouts; its names were mapped",
    Tolerance.VLM_LAYOUT: "an image-text model was stored with an older version's names of its parts; they were mapped",
    Tolerance.POSITION_IDS: "position_ids buffers, which newer code computes by itself, were left out",
    Tolerance.LOGIT_BIAS: "logit_bias, which moves all scores of an image alike, was left out or taken as zero",
    Tolerance.TIED_TENSORS: "tensors that the architecture ties to another one were taken from it",
}
# How image-text models of transformers named their parts before, and how they do now. Tried in this order.
VLM_NAMES = (
    ("language_model.lm_head.", "lm_head."), ("language_model.model.", "model.language_model."),
    ("model.", "model.language_model."), ("", "model."),
)  # fmt: skip
PLAIN_TEXT_NAMES = ("positional_embedding", "text_projection", "token_embedding.", "ln_final.", "transformer.")


@dataclass(frozen=True, kw_only=True)
class KeyMatch:
    """`sources` maps each tensor of the architecture to its tensor in the file; `zeros` are made, not read."""

    sources: dict[str, str]
    zeros: tuple[str, ...]
    used: tuple[Tolerance, ...]

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
    in_file = {name: name for name in found}  # name as the architecture would say it -> name in the file
    in_file = _drop_module_prefix(in_file, used)
    in_file = _map_text_layout(in_file, expected, used)
    in_file = _map_vlm_layout(in_file, expected, used)
    in_file = _drop_extras(in_file, expected, used)
    _fill_tied(in_file, tied, used)
    zeros: tuple[str, ...] = ()
    if "logit_bias" in expected and "logit_bias" not in in_file:
        zeros = ("logit_bias",)
        used.append(Tolerance.LOGIT_BIAS)
    _refuse_differences(in_file, found, expected, zeros)
    sources = {name: in_file[name] for name in expected if name in in_file}
    return KeyMatch(sources=sources, zeros=zeros, used=tuple(use for use in Tolerance if use in used))


def _drop_module_prefix(in_file: dict[str, str], used: list[Tolerance]) -> dict[str, str]:
    if not in_file or not all(name.startswith("module.") for name in in_file):
        return in_file
    used.append(Tolerance.MODULE_PREFIX)
    return {name.removeprefix("module."): source for name, source in in_file.items()}


def _map_text_layout(in_file: dict[str, str], expected: Mapping[str, Shape], used: list[Tolerance]) -> dict[str, str]:
    """CLIP keeps the text tower at the top level, CustomTextCLIP under `text.`; the modules are the same."""
    file_is_custom, wants_custom = "text.positional_embedding" in in_file, "text.positional_embedding" in expected
    if file_is_custom == wants_custom or not ({"positional_embedding", "text.positional_embedding"} & in_file.keys()):
        return in_file
    used.append(Tolerance.TEXT_LAYOUT)
    if file_is_custom:
        return {name.removeprefix("text."): source for name, source in in_file.items()}
    return {f"text.{name}" if name.startswith(PLAIN_TEXT_NAMES) else name: source for name, source in in_file.items()}


def _map_vlm_layout(in_file: dict[str, str], expected: Mapping[str, Shape], used: list[Tolerance]) -> dict[str, str]:
    """transformers' own save_pretrained still writes the older names, so most files have them."""
    if not any(name.startswith("model.language_model.") for name in expected):
        return in_file
    mapped = {
        next((new for new in _vlm_names(name) if new in expected), name): source for name, source in in_file.items()
    }
    if len(mapped) < len(in_file) or mapped.keys() == in_file.keys():  # the first: two tensors would be one
        return in_file
    used.append(Tolerance.VLM_LAYOUT)
    return mapped


def _vlm_names(name: str) -> Iterator[str]:
    short = name.replace("vision_tower.vision_model.", "vision_tower.", 1)
    yield from (name, short)
    yield from (new + short.removeprefix(old) for old, new in VLM_NAMES if short.startswith(old))


def _drop_extras(in_file: dict[str, str], expected: Mapping[str, Shape], used: list[Tolerance]) -> dict[str, str]:
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


def _fill_tied(in_file: dict[str, str], tied: Iterable[frozenset[str]], used: list[Tolerance]) -> None:
    for group in tied:
        stored = sorted(name for name in group if name in in_file)
        for name in group - in_file.keys():
            if stored:
                in_file[name] = in_file[stored[0]]
                if Tolerance.TIED_TENSORS not in used:
                    used.append(Tolerance.TIED_TENSORS)


def _refuse_differences(
    in_file: Mapping[str, str], found: Mapping[str, Shape], expected: Mapping[str, Shape], zeros: tuple[str, ...]
) -> None:
    missing = [name for name in expected if name not in in_file and name not in zeros]
    unexpected = [source for name, source in in_file.items() if name not in expected]
    misshaped = [
        f"{source} is {list(found[source])}, not {list(expected[name])}"
        for name, source in in_file.items()
        if name in expected and found[source] != expected[name]
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
