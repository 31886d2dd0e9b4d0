"""Which key differences are tolerated, each alone and shown, and how all others are refused together."""

import pytest

from evaluator.errors import InputError
from evaluator.weights.keys import TOLERANCES, Shape, Tolerance, match_keys

PLAIN: dict[str, Shape] = {
    "positional_embedding": (48, 64), "text_projection": (64, 64), "logit_scale": (), "visual.proj": (128, 64),
    "token_embedding.weight": (9, 64), "ln_final.weight": (64,), "transformer.resblocks.0.ln_1.weight": (64,),
}  # fmt: skip
CUSTOM: dict[str, Shape] = {
    name if name in ("logit_scale", "visual.proj") else f"text.{name}": shape for name, shape in PLAIN.items()
}


def test_same_names_and_shapes_need_no_tolerance() -> None:
    match = match_keys(PLAIN, PLAIN)
    assert match.sources == {name: name for name in PLAIN}
    assert match.facts() == [] and match.zeros == ()


def test_module_prefix_is_dropped_only_when_every_name_has_it() -> None:
    match = match_keys({f"module.{name}": shape for name, shape in PLAIN.items()}, PLAIN)
    assert match.used == (Tolerance.MODULE_PREFIX,)
    assert match.sources["visual.proj"] == "module.visual.proj"
    mixed = {**{f"module.{name}": shape for name, shape in PLAIN.items()}, "extra": (1,)}
    with pytest.raises(InputError):
        match_keys(mixed, PLAIN)


@pytest.mark.parametrize(("stored", "wanted"), [(PLAIN, CUSTOM), (CUSTOM, PLAIN)])
def test_text_tower_is_mapped_between_both_layouts(stored: dict[str, Shape], wanted: dict[str, Shape]) -> None:
    match = match_keys(stored, wanted)
    assert match.used == (Tolerance.TEXT_LAYOUT,)
    assert set(match.sources) == set(wanted) and set(match.sources.values()) == set(stored)


def test_position_ids_are_left_out() -> None:
    match = match_keys({**PLAIN, "text.embeddings.position_ids": (1, 77)}, PLAIN)
    assert match.used == (Tolerance.POSITION_IDS,)
    assert match.sources.keys() == PLAIN.keys()


def test_logit_bias_is_left_out_or_made_zero() -> None:
    assert match_keys({**PLAIN, "logit_bias": ()}, PLAIN).used == (Tolerance.LOGIT_BIAS,)
    match = match_keys(PLAIN, {**PLAIN, "logit_bias": ()})
    assert match.used == (Tolerance.LOGIT_BIAS,) and match.zeros == ("logit_bias",)


def test_tied_tensor_is_taken_from_its_twin() -> None:
    wanted = {**PLAIN, "head.weight": (9, 64)}
    match = match_keys(PLAIN, wanted, tied=[frozenset({"head.weight", "token_embedding.weight"})])
    assert match.used == (Tolerance.TIED_TENSORS,)
    assert match.sources["head.weight"] == "token_embedding.weight"
    with pytest.raises(InputError):
        match_keys(PLAIN, wanted)


def test_several_tolerances_are_each_shown() -> None:
    stored = {f"module.{name}": shape for name, shape in {**PLAIN, "logit_bias": (), "a.position_ids": (1,)}.items()}
    match = match_keys(stored, CUSTOM)
    assert [fact["tolerance"] for fact in match.facts()] == [
        "module_prefix", "text_layout", "position_ids", "logit_bias",
    ]  # fmt: skip
    assert all(fact["what"] == TOLERANCES[Tolerance(fact["tolerance"])] for fact in match.facts())


def test_every_difference_is_listed_at_once_with_examples() -> None:
    stored = {name: shape for name, shape in PLAIN.items() if name != "logit_scale"}
    stored |= {"visual.proj": (64, 128), **{f"extra_{i}": (1,) for i in range(9)}}
    with pytest.raises(InputError) as refused:
        match_keys(stored, PLAIN)
    said = {problem.code: problem.message for problem in refused.value.problems}
    assert said.keys() == {"missing_keys", "unexpected_keys", "misshaped_keys"}
    assert "logit_scale" in said["missing_keys"]
    assert "9 tensors" in said["unexpected_keys"] and "extra_4 …" in said["unexpected_keys"]
    assert "visual.proj is [64, 128], not [128, 64]" in said["misshaped_keys"]


@pytest.mark.parametrize("name", ["visual.position_ids_x", "Logit_bias", "visual.logit_bias", "optimizer.step"])
def test_names_that_only_look_tolerable_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        match_keys({**PLAIN, name: (1,)}, PLAIN)


def test_text_layout_is_not_mapped_where_a_tensor_would_be_lost() -> None:
    for stored, wanted in ((CUSTOM, PLAIN), (PLAIN, CUSTOM)):
        both = {**stored, "positional_embedding": (48, 64), "text.positional_embedding": (48, 64)}
        with pytest.raises(InputError, match="unexpected_keys"):
            match_keys(both, wanted)
