"""CLIP's two layouts, transformers' and open_clip's, mapped onto each other. In: names of tensors; out: Sources.

The same numbers under other names, but for two things: open_clip keeps query, key and value of an attention in one
tensor, and both projections the other way round.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

Shape = tuple[int, ...]


class Change(StrEnum):
    """What makes one tensor of an architecture out of those in a file."""

    NONE = "none"
    STACKED = "stacked"  # along the first dimension
    TRANSPOSED = "transposed"
    FIRST_THIRD = "first_third"  # of the first dimension
    SECOND_THIRD = "second_third"
    LAST_THIRD = "last_third"


THIRDS = (Change.FIRST_THIRD, Change.SECOND_THIRD, Change.LAST_THIRD)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a tensor comes from: names in the file, several only where they are stacked, and the change."""

    names: tuple[str, ...]
    change: Change = Change.NONE

    def shape(self, found: Mapping[str, Shape]) -> Shape | None:
        """The shape after the change; None where the tensors do not allow it."""
        first, *others = (found[name] for name in self.names)
        match self.change:
            case Change.NONE:
                return first
            case Change.TRANSPOSED:
                return first[::-1] if len(first) == 2 else None
            case Change.STACKED:
                alike = first and all(other[1:] == first[1:] and other for other in others)
                return (first[0] + sum(other[0] for other in others), *first[1:]) if alike else None
            case _:
                return (first[0] // 3, *first[1:]) if first and first[0] % 3 == 0 else None


# transformers' name -> open_clip's
RENAMED = {
    "logit_scale": "logit_scale",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
}
NORMS = {"text_model.final_layer_norm": "ln_final", "vision_model.pre_layrnorm": "visual.ln_pre",
         "vision_model.post_layernorm": "visual.ln_post"}  # fmt: skip
PROJECTIONS = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}
TOWERS = {"text_model.encoder.layers": "transformer.resblocks",
          "vision_model.encoder.layers": "visual.transformer.resblocks"}  # fmt: skip
IN_BLOCK = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
            "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
BLOCK = re.compile(r"(.+?\.(?:layers|resblocks))\.([0-9]{1,4})\.")


def is_transformers_clip(names: Iterable[str]) -> bool:
    """Whether these are the names of a CLIPModel of transformers."""
    held = set(names)
    return {"text_model.embeddings.token_embedding.weight", "vision_model.embeddings.class_embedding"} <= held


def is_open_clip(names: Iterable[str]) -> bool:
    """Whether these are the names of a CLIP of open_clip with its own image tower, the text tower at the top level."""
    return {"token_embedding.weight", "visual.class_embedding"} <= set(names)


def to_open_clip(found: Mapping[str, Source]) -> dict[str, Source]:
    """From transformers' names to open_clip's; what is in neither layout keeps its name."""
    left, mapped = dict(found), {}
    for theirs, ours in _same(found):
        if theirs in left:
            mapped[ours] = left.pop(theirs)
    for theirs, ours in PROJECTIONS.items():
        if theirs in left:
            mapped[ours] = _changed([left.pop(theirs)], Change.TRANSPOSED)
    for parts, whole in _attentions(found):
        if all(part in left for part in parts):
            mapped[whole] = _changed([left.pop(part) for part in parts], Change.STACKED)
    return left | mapped


def to_transformers(found: Mapping[str, Source]) -> dict[str, Source]:
    """From open_clip's names to transformers'; what is in neither layout keeps its name."""
    left, mapped = dict(found), {}
    for theirs, ours in _same(found):
        if ours in left:
            mapped[theirs] = left.pop(ours)
    for theirs, ours in PROJECTIONS.items():
        if ours in left:
            mapped[theirs] = _changed([left.pop(ours)], Change.TRANSPOSED)
    for parts, whole in _attentions(found):
        if whole in left:
            source = left.pop(whole)
            mapped |= {part: _changed([source], third) for part, third in zip(parts, THIRDS, strict=True)}
    return left | mapped


def _changed(sources: list[Source], change: Change) -> Source:
    return Source(names=tuple(name for source in sources for name in source.names), change=change)


def _blocks(names: Iterable[str]) -> list[tuple[str, str]]:
    """transformers' and open_clip's prefix of every block that occurs, in either layout."""
    here = {found.groups() for name in names if (found := BLOCK.match(name))}
    return [
        (f"{theirs}.{number}", f"{ours}.{number}")
        for theirs, ours in TOWERS.items()
        for number in sorted({number for tower, number in here if tower in (theirs, ours)})
    ]


def _same(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    yield from RENAMED.items()
    pairs = [*NORMS.items()]
    for theirs, ours in _blocks(names):
        pairs += [(f"{theirs}.{inner}", f"{ours}.{other}") for inner, other in IN_BLOCK.items()]
    for theirs, ours in pairs:
        yield from ((f"{theirs}.{kind}", f"{ours}.{kind}") for kind in ("weight", "bias"))


def _attentions(names: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    for theirs, ours in _blocks(names):
        for kind in ("weight", "bias"):
            yield tuple(f"{theirs}.self_attn.{part}_proj.{kind}" for part in "qkv"), f"{ours}.attn.in_proj_{kind}"
