"""Sketches tell fine-tunes from strangers without tensors, whatever the layout and precision."""

import json
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from evaluator.architectures.architecture import Architecture
from evaluator.architectures.registry import get_architecture
from evaluator.weights.check import check_weights
from evaluator.weights.checkpoint import open_checkpoint
from evaluator.weights.sketch import HASH_BYTES, Kinship, compare, sketch
from tests.builders.adapters import CHANGED, lora_state, merged_slowly, write_adapter
from tests.builders.pairs import tuned_state
from tests.builders.weights import TINY, tiny_state, write_state
from tests.evaluator.weights.test_layouts import CUSTOM, PLAIN, TRANSFORMERS, weights_of

DEMO = Path("demo/models/weights")
MOST_BYTES = 20_000


def facts_of(path: Path, architecture: Architecture | None = None, base: Path | None = None) -> dict[str, Any]:
    with open_checkpoint(path, base) as file:
        return json.loads(json.dumps(check_weights(file, architecture or get_architecture(TINY))))


def kinship(one: dict[str, Any], other: dict[str, Any]) -> Kinship:
    found = compare(one, other)
    assert found is not None and found == compare(other, one)
    return found


def test_the_demos_fine_tunes_are_found_and_nothing_else(tmp_path: Path) -> None:
    tuned = ("generalist", "pathologist", "electron")
    facts = {name: facts_of(DEMO / f"tiny-{name}.safetensors") for name in (*tuned, "novice")}
    facts |= {f"random {seed}": facts_of(write_state(tiny_state(seed), tmp_path / f"{seed}.safetensors"))
              for seed in (0, 1)}  # fmt: skip
    for one, other in combinations(facts, 2):
        found = kinship(facts[one], facts[other])
        assert found.looks_tuned == (one in tuned and other in tuned), (one, other, found)
        if "random" in other:
            assert abs(found.distance - 2**0.5) < 0.05 and abs(found.cosine) < 0.05
    assert kinship(facts["generalist"], facts["generalist"]) == Kinship(
        identical_share=1.0, distance=0.0, cosine=1.0, looks_tuned=True
    )


def test_figures_estimate_those_of_all_values(tmp_path: Path) -> None:
    base = tiny_state(1)
    changed = set(list(base)[::3])
    for size in (0.02, 0.1):
        tuned = tuned_state(base, changed.__contains__, size=size)
        paths = [write_state(state, tmp_path / f"{name}.safetensors") for name, state in (("a", base), ("b", tuned))]
        found = kinship(*(facts_of(path) for path in paths))
        squares, dots = [], []
        for name, first in base.items():
            if first.ndim > 1:
                second, scale = tuned[name], ((first**2).sum() + (tuned[name] ** 2).sum()) / 2
                squares.append(float(((first - second) ** 2).sum() / scale))
                dots.append(float((first * second).sum() / scale))
        assert found.distance == pytest.approx(np.mean(squares) ** 0.5, rel=0.25)
        assert found.cosine == pytest.approx(np.mean(dots), abs=0.01)
        assert found.identical_share == pytest.approx(1 - len(changed) / len(base), abs=1e-6)


def test_layouts_precision_and_prefixes_do_not_matter(tmp_path: Path) -> None:
    ours = weights_of(PLAIN, tmp_path / "a.safetensors")
    theirs = weights_of(TRANSFORMERS, tmp_path / "b.safetensors")
    copies = [(ours, PLAIN), (ours, CUSTOM), (ours, TRANSFORMERS)]
    facts = [facts_of(*copy) for copy in copies]
    assert facts[0]["sketch"] == facts[1]["sketch"] == facts[2]["sketch"]
    assert kinship(facts[0], facts_of(theirs, TRANSFORMERS)).distance > 1  # drawn in another order: a stranger
    state = load_file(ours)
    wrapped = {f"module.{name}": tensor.bfloat16() for name, tensor in state.items()}
    found = kinship(facts[0], facts_of(write_state(wrapped, tmp_path / "c.safetensors"), PLAIN))
    assert found.identical_share == 1.0 and found.distance < 0.01


def test_an_adapter_is_sketched_merged(tmp_path: Path) -> None:
    state = tiny_state(2)
    pairs = lora_state(state)
    base = write_state(state, tmp_path / "base.safetensors")
    whole = facts_of(write_state(merged_slowly(state, pairs), tmp_path / "merged.safetensors"))
    adapted = facts_of(write_adapter(tmp_path / "adapter", pairs), base=base)
    assert kinship(adapted, whole).distance < 1e-6
    assert kinship(adapted, facts_of(base)).identical_share == pytest.approx(1 - len(CHANGED) / len(state), abs=1e-6)


def test_a_missing_bias_changes_nothing(tmp_path: Path) -> None:
    from evaluator.architectures.architecture import Preprocessing
    from evaluator.architectures.open_clip_config import describe
    from tests.evaluator.weights.test_layouts import OPEN_CLIP_CONFIG

    architecture = describe("biased", OPEN_CLIP_CONFIG | {"init_logit_bias": -10.0}, preprocessing=Preprocessing())
    state = load_file(weights_of(architecture, tmp_path / "a.safetensors"))
    without = {name: tensor for name, tensor in state.items() if name != "logit_bias"}
    assert len(without) == len(state) - 1
    paths = [tmp_path / "a.safetensors", write_state(without, tmp_path / "b.safetensors")]
    assert kinship(*(facts_of(path, architecture) for path in paths)).identical_share == 1.0


def test_other_architectures_do_not_correspond(tmp_path: Path) -> None:
    tiny = facts_of(write_state(tiny_state(), tmp_path / "a.safetensors"))
    other = facts_of(weights_of(PLAIN, tmp_path / "b.safetensors"), PLAIN)
    assert compare(tiny, other) is None


@pytest.mark.parametrize("n_tensors", [1, 300, 2_000, 20_000])
def test_a_sketch_is_small_whatever_it_is_of(n_tensors: int) -> None:
    shapes = {f"layers.{number}.weight": (3, 5) if number % 2 else (7,) for number in range(n_tensors)}
    made = sketch(shapes, lambda name: f"{hash(name) % 2**32:08x}" * 8, lambda name, places: np.arange(15.0)[places])
    assert len(json.dumps(made)) <= MOST_BYTES
    found = compare({"sketch": made}, {"sketch": made})
    assert found is not None and found.identical_share == 1.0


@given(
    broken=st.one_of(
        st.none(), st.integers(), st.just({}), st.dictionaries(st.text(max_size=9), st.integers()),
        st.fixed_dictionaries({
            "schema": st.just(1), "names": st.text(max_size=4), "matrices": st.integers(-2, 3) | st.just(2**70),
            "hashes": st.text("AB=!", max_size=9), "values": st.text("AB=!", max_size=9) | st.just("AADAfw=="),
        }),
    )
)  # fmt: skip
def test_a_sketch_that_is_none_is_not_compared(broken: Any) -> None:
    good = sketch({"w": (2, 2)}, lambda name: "00" * HASH_BYTES, lambda name, places: np.ones(4)[places])
    assert compare({"sketch": broken}, {"sketch": good}) is None
    assert compare({"sketch": broken}, {"sketch": broken}) is None or broken["hashes"]
    assert compare({}, {"sketch": good}) is None


def test_comparing_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.path[:] = " + repr(sys.path) + "; import evaluator.weights.sketch"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": ""})


def test_constant_matrices_say_nothing() -> None:
    made = sketch({"w": (4, 4)}, lambda name: "00" * HASH_BYTES, lambda name, places: torch.zeros(16)[places].numpy())
    assert compare({"sketch": made}, {"sketch": made}) == Kinship(
        identical_share=1.0, distance=0.0, cosine=1.0, looks_tuned=True
    )
