"""A sweep answers at every α as the merged checkpoint would alone, and does no work twice."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from evaluator.answering.material import open_material
from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import SWEEP_STAGES, Progress, StageClock
from evaluator.answering.run import answer_release
from evaluator.answering.settings import BatchSizes, RunSettings
from evaluator.answering.sweeps import interpolated
from evaluator.answering.sweeps.sweep import Sweep, sweep_release, sweep_splits
from evaluator.answering.sweeps.sweep_answers import (
    SWEEP,
    answers_at,
    check_alphas,
    read_sweep,
    write_sweep_run,
)
from evaluator.answers import Protocol, read_answers
from evaluator.architectures.folders import ENVIRONMENT
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.encoders.open_clip import OpenClipEncoder
from evaluator.encoders.transformers_contrastive import TransformersEncoder
from evaluator.errors import EvaluationFailed, InputError
from evaluator.pixels.cache import PixelCache
from evaluator.release.schema import Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.adapters import lora_state, merged_slowly, write_adapter
from tests.builders.families import ARCHITECTURES, FAMILIES, contrastive_folders
from tests.builders.pairs import mixed_slowly, tuned_state
from tests.builders.weights import TINY, tiny_state, write_shards, write_state

SETTINGS = RunSettings(device=Device.CPU, sizes=BatchSizes(images=7, texts=9))
SPLITS = (Split.DEV, Split.TEST)
IMAGE_NAMES = ("visual.", "vision_model.", "visual_projection", "vision_proj")
BOTH = ["image", "text"]
SCALES = ("logit_scale", "logit_bias", "temperature")


def sweep(
    release: Path, base: Path, tuned: Path, alphas: Sequence[float] = (0, 0.3, 1), *, name: str = TINY,
    settings: RunSettings = SETTINGS, tuned_base: Path | None = None, splits: Sequence[Split] = SPLITS,
    resume: Resume | None = None, **how: Any,
) -> Sweep:  # fmt: skip
    architecture = get_architecture(name)
    with ExitStack() as stack:
        checkpoints = [stack.enter_context(open_checkpoint(*paths)) for paths in ((base,), (tuned, tuned_base))]
        materials = [stack.enter_context(open_material(release, split, architecture, PixelCache())) for split in splits]
        clock = StageClock(architecture.family, sweep=True)
        return sweep_splits(materials, *checkpoints, architecture, alphas, settings, clock, resume=resume, **how)


def alone(
    release: Path, split: Split, weights: Path, *, name: str = TINY, settings: RunSettings = SETTINGS,
    base: Path | None = None,
) -> pa.Table:  # fmt: skip
    with open_checkpoint(weights, base) as file:
        return answer_release(release, split, file, get_architecture(name), settings).answers


def require_same_choice(found: pa.Table, merged: pa.Table, tolerance: float = 1e-5) -> int:
    """Equal choices wherever the merged checkpoint's margin is clear; returns at how many rows it is."""
    clear = 0
    for one, other in zip(found.to_pylist(), merged.to_pylist(), strict=True):
        second, first = np.sort(other["scores"])[-2:]
        if first - second > tolerance:
            clear += 1
            assert one["chosen"] == other["chosen"]
    return clear


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Base and tuned of the tiny architecture, the tuned one in half precision."""
    folder, base = tmp_path_factory.mktemp("pair"), tiny_state(1)
    tuned = {name: tensor.half() for name, tensor in tuned_state(base).items()}
    return write_state(base, folder / "base.safetensors"), write_state(tuned, folder / "tuned.safetensors")


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The weights of every contrastive family, by its name."""
    folder = tmp_path_factory.mktemp("families")
    weights = contrastive_folders(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(folder / ARCHITECTURES))
        yield weights


def test_the_ends_are_the_parents_to_the_bit_and_the_middle_the_merged_file(
    small_release: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    base, tuned = pair
    done = sweep(small_release, base, tuned, (0, 0.05, 0.3, 0.5, 0.95, 1))
    answers = done.answers
    assert answers.schema == SWEEP and done.record["broken"] == []
    for split in SPLITS:
        parents = [alone(small_release, split, path) for path in pair]
        assert answers_at(answers, split, 0).equals(parents[0])
        assert answers_at(answers, split, 1).equals(parents[1])
        assert not parents[0]["chosen"].equals(parents[1]["chosen"])
        for alpha in (0.05, 0.3, 0.5, 0.95):
            merged = mixed_slowly([load_file(base), load_file(tuned)], [1 - alpha, alpha])
            path = write_state(merged, tmp_path / f"{split}-{alpha}.safetensors")
            found, expected = answers_at(answers, split, alpha), alone(small_release, split, path)
            assert require_same_choice(found, expected) > 0.9 * expected.num_rows
            assert found["scores"].null_count == found.num_rows
            assert found["truncated"].equals(expected["truncated"])
    assert done.record["merge"]["interpolated_tensors"] == len(load_file(base))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_and_what_is_skipped_of_it(
    name: str, families: dict[str, Path], small_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both towers tuned, then one alone: the scores at α = 0.5, kept here, are those of the merged file."""
    monkeypatch.setattr("evaluator.answering.sweeps.sweep.keeps_scores", lambda alpha: True)
    asked = count_calls(monkeypatch, OpenClipEncoder, TransformersEncoder)
    base = load_file(families[name])

    def is_image(tensor: str) -> bool:
        return tensor.startswith(IMAGE_NAMES)

    def is_text(tensor: str) -> bool:
        return not is_image(tensor) and tensor not in SCALES

    cases = ((lambda tensor: True, []), (is_image, ["text"]), (is_text, ["image"]), (lambda tensor: False, BOTH))
    for changes, unchanged in cases:
        tuned = tuned_state(base, changes)
        path = write_state(tuned, tmp_path / "tuned.safetensors")
        half = write_state(mixed_slowly([base, tuned], [0.5, 0.5]), tmp_path / "half.safetensors")
        asked.clear()
        done = sweep(small_release, families[name], path, (0, 0.5, 1), name=name, splits=[Split.TEST])
        counted = dict(asked)
        assert done.record["merge"]["unchanged_towers"] == unchanged
        for alpha, weights in ((0, families[name]), (0.5, half), (1, path)):
            found, expected = (
                answers_at(done.answers, Split.TEST, alpha),
                alone(small_release, Split.TEST, weights, name=name),
            )
            if alpha != 0.5:
                assert found.equals(expected)
            np.testing.assert_allclose(
                np.concatenate(found["scores"].to_pylist()), np.concatenate(expected["scores"].to_pylist()),
                rtol=0, atol=1e-5,
            )  # fmt: skip
            require_same_choice(found, expected)
        once = {"image": done.record["counts"]["images"], "text": done.record["counts"]["texts"]}
        assert counted == {tower: n * (1 if tower in unchanged else 3) for tower, n in once.items()}


def count_calls(monkeypatch: pytest.MonkeyPatch, *encoders: type) -> dict[str, int]:
    """How many images and texts are embedded from now on, but for the few of a probe."""
    asked: dict[str, int] = {}
    monkeypatch.setattr(interpolated, "PROBED", 2)

    def counting(tower: str, encode: Any) -> Any:
        def counted(self: Any, inputs: Any) -> torch.Tensor:
            asked[tower] = asked.get(tower, 0) + len(inputs)
            return encode(self, inputs)

        return counted

    probe = interpolated.ContrastiveSplit.probe

    def uncounted(self: Any) -> Any:
        before = dict(asked)
        found = probe(self)
        asked.clear()
        asked.update(before)
        return found

    monkeypatch.setattr(interpolated.ContrastiveSplit, "probe", uncounted)
    for encoder in encoders:
        monkeypatch.setattr(encoder, "encode_images", counting("image", encoder.encode_images))
        monkeypatch.setattr(encoder, "encode_texts", counting("text", encoder.encode_texts))
    return asked


def test_plip_tuned_on_clip_in_the_other_layout(families: dict[str, Path], small_release: Path, tmp_path: Path) -> None:
    """transformers' layout tuned, open_clip's base: the same sweep as when both are in transformers'."""
    from evaluator.weights.layouts import Source, to_open_clip
    from evaluator.weights.tensors import make

    theirs = load_file(families["tiny-clip"])
    mapped = to_open_clip({name: Source(names=(name,)) for name in theirs})
    ours = {name: make(theirs, source) for name, source in mapped.items()}
    base = write_state(ours, tmp_path / "base.safetensors")
    tuned = write_state(tuned_state(theirs), tmp_path / "tuned.safetensors")
    assert ours.keys() != theirs.keys()
    one, other = (sweep(small_release, path, tuned, name="tiny-clip") for path in (base, families["tiny-clip"]))
    assert one.answers.equals(other.answers)
    assert [use["tolerance"] for use in one.record["base"]["tolerated"]] == ["clip_layout"]
    assert one.record["tuned"]["tolerated"] == [] == other.record["base"]["tolerated"]


def test_an_adapter_is_swept_on_its_base(small_release: Path, tmp_path: Path) -> None:
    state = tiny_state(2)
    base, pairs = write_state(state, tmp_path / "base.safetensors"), lora_state(state)
    adapter = write_adapter(tmp_path / "adapter", pairs)
    merged = write_state(merged_slowly(state, pairs), tmp_path / "merged.safetensors")
    found = sweep(small_release, base, adapter, tuned_base=base)
    for split in SPLITS:
        assert answers_at(found.answers, split, 1).equals(alone(small_release, split, adapter, base=base))
    other = sweep(small_release, base, merged)
    assert found.answers.drop(["scores"]).equals(other.answers.drop(["scores"]))
    assert found.record["merge"]["equal_tensors"] == len(state) - len(pairs) // 2
    assert found.record["tuned"]["adapter"]["adapted_tensors"] == len(pairs) // 2


def test_shards_are_swept_as_one_file(small_release: Path, pair: tuple[Path, Path], tmp_path: Path) -> None:
    shards = write_shards(load_file(pair[0]), tmp_path)
    assert sweep(small_release, shards, pair[1]).answers.equals(sweep(small_release, *pair).answers)


class Killed(Exception):
    """Stands for the end of the process in the middle of a run."""


@pytest.mark.parametrize("kept", [1, 3])
def test_a_killed_sweep_goes_on_at_the_alpha_it_was_at(
    small_release: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    alphas, parts = (0, 0.2, 0.7, 1), []

    def keep(part: Part) -> None:
        if len(parts) == kept:
            raise Killed
        parts.append(part)

    with pytest.raises(Killed):
        sweep(small_release, *pair, alphas, resume=Resume(on_part=keep))
    assert [(part.start, part.stop) for part in parts] == [(i, i + 1) for i in range(kept)]
    whole = sweep(small_release, *pair, alphas)
    asked = count_calls(monkeypatch, OpenClipEncoder)
    resumed = sweep(small_release, *pair, alphas, resume=Resume(done=tuple(parts)))
    assert asked["image"] == whole.record["counts"]["images"] * (len(alphas) - kept)
    assert resumed.answers.equals(whole.answers)
    assert (resumed.record["resumed_at"], whole.record["resumed_at"]) == (kept, None)


def test_a_killed_sweep_with_an_unchanged_tower_goes_on(small_release: Path, tmp_path: Path) -> None:
    state = tiny_state(1)
    base = write_state(state, tmp_path / "base.safetensors")
    tuned = write_state(tuned_state(state, lambda name: name.startswith("visual.")), tmp_path / "tuned.safetensors")
    parts: list[Part] = []
    whole = sweep(small_release, base, tuned, resume=Resume(on_part=parts.append))
    assert whole.record["merge"]["unchanged_towers"] == ["text"]
    assert sweep(small_release, base, tuned, resume=Resume(done=tuple(parts[:2]))).answers.equals(whole.answers)
    assert sweep(small_release, base, tuned, resume=Resume(done=tuple(parts))).answers.equals(whole.answers)


def overflowing(tmp_path: Path) -> tuple[Path, Path]:
    """Each end computes; between them a product of two large numbers does not."""
    state = tiny_state(1)
    large = {
        **state,
        "visual.ln_post.weight": state["visual.ln_post.weight"] * 1e22,
        "visual.ln_post.bias": state["visual.ln_post.bias"] * 1e22,
        "visual.proj": state["visual.proj"] * 1e-20,
    }
    small = {
        **state,
        "visual.ln_post.weight": state["visual.ln_post.weight"] * 1e-20,
        "visual.ln_post.bias": state["visual.ln_post.bias"] * 1e-20,
        "visual.proj": state["visual.proj"] * 1e22,
    }
    return write_state(large, tmp_path / "large.safetensors"), write_state(small, tmp_path / "small.safetensors")


def test_an_alpha_that_overflows_is_named_and_the_others_go_on(small_release: Path, tmp_path: Path) -> None:
    base, tuned = overflowing(tmp_path)
    parts: list[Part] = []
    found = sweep(small_release, base, tuned, (0, 0.5, 1), resume=Resume(on_part=parts.append))
    assert [(each["alpha"], each["code"]) for each in found.record["broken"]] == [(0.5, "non_finite_output")]
    assert "NaN or infinite" in found.record["broken"][0]["message"]
    assert set(found.answers["alpha"].to_pylist()) == {0.0, 1.0}
    assert answers_at(found.answers, Split.TEST, 1).equals(alone(small_release, Split.TEST, tuned))
    again = sweep(small_release, base, tuned, (0, 0.5, 1), resume=Resume(done=tuple(parts[:2])))
    assert again.answers.equals(found.answers) and again.record["broken"] == found.record["broken"]


def test_a_pair_that_gives_no_number_at_any_alpha_fails(small_release: Path, tmp_path: Path) -> None:
    state = tiny_state(1)
    state["visual.proj"] = torch.full_like(state["visual.proj"], 3e38)
    path = write_state(state, tmp_path / "a.safetensors")
    with pytest.raises(EvaluationFailed) as failed:
        sweep(small_release, path, path, (0, 1))
    assert failed.value.code == "non_finite_output" and not failed.value.retry


def refusal(*args: Any, **how: Any) -> InputError:
    with pytest.raises(InputError) as refused:
        sweep(*args, **how)
    return refused.value


def test_a_base_of_another_architecture_is_told_with_its_reason(
    small_release: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    wrong = {name: tensor for name, tensor in load_file(pair[0]).items() if name != "logit_scale"}
    wrong |= {"visual.proj": wrong["visual.proj"].T, "renamed.weight": torch.zeros(2, 2)}
    error = refusal(small_release, write_state(wrong, tmp_path / "a.safetensors"), pair[1])
    [problem] = error.problems
    assert (problem.code, problem.field) == ("base_other_architecture", "base")
    assert all(word in problem.message for word in (TINY, "logit_scale", "visual.proj", "renamed.weight"))
    error = refusal(small_release, pair[1], write_state(wrong, tmp_path / "b.safetensors"))
    assert {problem.field for problem in error.problems} == {"tuned"} and "missing_keys" in error.counts


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_nan_in_the_weights_is_refused_with_its_place(
    small_release: Path, pair: tuple[Path, Path], tmp_path: Path, side: str
) -> None:
    state = load_file(pair[0])
    state["visual.proj"][2, 3] = float("nan")
    broken = write_state(state, tmp_path / "nan.safetensors")
    error = refusal(small_release, *((broken, pair[1]) if side == "base" else (pair[0], broken)))
    assert [(problem.code, problem.field) for problem in error.problems] == [("non_finite_weights", side)]
    assert "visual.proj" in error.problems[0].message


def test_weights_other_than_the_validated_ones_are_refused(small_release: Path, pair: tuple[Path, Path]) -> None:
    for side in ("base", "tuned"):
        error = refusal(small_release, *pair, **{f"{side}_sha256": "0" * 64})
        assert [(problem.code, problem.field) for problem in error.problems] == [("weights_changed", side)]


def test_whole_numbers_are_the_tuned_models(families: dict[str, Path], small_release: Path, tmp_path: Path) -> None:
    """ALIGN's image tower counts batches: a number that no model computes with, and that cannot be mixed."""
    base = load_file(families["tiny-align"])
    counters = sorted(name for name in base if name.endswith("num_batches_tracked"))
    assert len(counters) > 2
    tuned = tuned_state(base)
    for name in counters[:2]:
        tuned[name] = base[name] + 3
    path = write_state(tuned, tmp_path / "tuned.safetensors")
    found = sweep(small_release, families["tiny-align"], path, name="tiny-align")
    assert sorted(found.record["merge"]["copied_from_tuned"]) == counters[:2]
    assert answers_at(found.answers, Split.TEST, 1).equals(alone(small_release, Split.TEST, path, name="tiny-align"))


def test_scales_of_logits_are_recorded_as_factors(families: dict[str, Path], small_release: Path, pair: Any) -> None:
    record = sweep(small_release, *pair, (0, 1)).record
    assert record["logit_scale"]["base"] == pytest.approx(float(load_file(pair[0])["logit_scale"].exp()))
    assert record["logit_scale"]["tuned"] != record["logit_scale"]["base"]
    for name, expected in (
        ("tiny-align", lambda state: 1 / float(state["temperature"])),
        ("tiny-blip", lambda state: None),
    ):
        found = sweep(small_release, families[name], families[name], (0, 1), name=name).record["logit_scale"]["base"]
        assert found == pytest.approx(expected(load_file(families[name])))


def test_equal_checkpoints_sweep_to_equal_answers(small_release: Path, pair: tuple[Path, Path]) -> None:
    found = sweep(small_release, pair[0], pair[0])
    assert found.record["merge"] == {
        "equal_tensors": len(load_file(pair[0])), "interpolated_tensors": 0, "copied_from_tuned": [],
        "unchanged_towers": ["image", "text"],
    }  # fmt: skip
    chosen = [answers_at(found.answers, Split.TEST, alpha)["chosen"] for alpha in (0, 0.3, 1)]
    assert chosen[0].equals(chosen[1]) and chosen[0].equals(chosen[2])


def test_progress_is_one_count_over_all_alphas(small_release: Path, pair: tuple[Path, Path]) -> None:
    seen: list[Progress] = []
    with open_checkpoint(pair[0]) as base, open_checkpoint(pair[1]) as tuned:
        done = sweep_release(
            small_release, SPLITS, base, tuned, get_architecture(TINY), (0, 0.5, 1), SETTINGS, on_progress=seen.append
        )
    assert list(dict.fromkeys(progress.stage for progress in seen)) == list(SWEEP_STAGES)
    main = [progress.done for progress in seen if progress.stage is SWEEP_STAGES[-1]]
    images = done.record["counts"]["images"]
    assert main == sorted(main) and main[-1] == seen[-1].total == 3 * images
    assert {images, 2 * images} <= set(main) and done.record["images_per_s"] > 0
    assert done.record["splits"] == ["dev", "test"] and done.record["purpose"] == "sweep"


def test_what_is_written_is_read_again(small_release: Path, pair: tuple[Path, Path], tmp_path: Path) -> None:
    done = sweep(small_release, *pair)
    write_sweep_run(done.answers, done.record, tmp_path / "a")
    write_sweep_run(done.answers, done.record, tmp_path / "b")
    assert read_sweep(tmp_path / "a/sweep.parquet").equals(done.answers)
    assert (tmp_path / "a/sweep.parquet").read_bytes() == (tmp_path / "b/sweep.parquet").read_bytes()
    assert json.loads((tmp_path / "a/run.json").read_text()) == done.record
    with pytest.raises(InputError, match="answers_missing"):
        read_sweep(tmp_path / "c.parquet")
    read_answers(tmp_path / "a/sweep.parquet")


@pytest.mark.parametrize(
    "alphas", [(), (0,), (0.5, 1), (0, 0.5), (0, 1, 1.1), (-0.1, 0, 1), (0, float("nan"), 1), (0, 0.3, 0.3, 1),
               (0, 0.3, 0.3000001, 1), tuple(np.linspace(0, 1, 400))],
)  # fmt: skip
def test_alphas_that_cannot_be_swept(alphas: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="bad_alphas"):
        check_alphas(alphas)


def test_alphas_are_ordered_and_rounded() -> None:
    assert check_alphas([1, 0.1 + 0.2, -0.0, 0.05]) == (0.0, 0.05, 0.3, 1.0)
    assert str(check_alphas([-0.0, 1])[0]) == "0.0"


def test_another_protocol_is_swept_too(small_release: Path, pair: tuple[Path, Path]) -> None:
    settings = replace(SETTINGS, protocol=Protocol.QUESTIONS)
    found = sweep(small_release, *pair, settings=settings)
    assert answers_at(found.answers, Split.DEV, 1).equals(alone(small_release, Split.DEV, pair[1], settings=settings))
