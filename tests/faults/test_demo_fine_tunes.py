"""The demo's specialists on its whole benchmark: they gain in their domain, forget outside it, and merging pays."""

import json
from pathlib import Path
from typing import Any

import pytest

from demo.generate.__main__ import generate
from demo.generate.plan import source_rules
from demo.models.measure import SPLITS
from evaluator.analyses.forgetting import Side, analysis_head, forgetting
from evaluator.analyses.interpolation import score_sweep
from evaluator.analyses.splits import load_split, marks_of
from evaluator.analyses.target import Target, parse_target
from evaluator.answering.settings import RunSettings
from evaluator.answering.sweeps.sweep import Sweep, sweep_release
from evaluator.answering.sweeps.sweep_answers import answers_at
from evaluator.answers import Protocol
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.pixels.cache import PixelCache
from evaluator.release.importer import import_hub
from evaluator.release.schema import Split
from evaluator.scoring.baselines import chance_marks
from evaluator.weights.checkpoint import open_checkpoint

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
MODELS = Path(__file__).parents[2] / "demo" / "models"
ALPHAS = tuple(number / 20 for number in range(21))
SPECIALISTS = ("tiny-pathologist", "tiny-electron")


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    generate(folder / "hub")
    import_hub(
        folder / "hub", folder / "release", splits=SPLITS, sources=source_rules(), name="Demo", version="1.0"
    )  # fmt: skip
    return folder / "release"


@pytest.fixture(scope="module")
def swept(release, tmp_path_factory) -> dict[str, tuple[Sweep, Target]]:
    described = {each["slug"]: each for each in json.loads((MODELS / "models.json").read_text())["models"]}
    cache = PixelCache(folder=tmp_path_factory.mktemp("pixels"), max_bytes=2**30)
    found = {}
    for slug in SPECIALISTS:
        tuned = described[slug]
        base = described[tuned["base"]]
        with open_checkpoint(MODELS / base["file"]) as zero, open_checkpoint(MODELS / tuned["file"]) as one:
            found[slug] = (
                sweep_release(
                    release, [Split.DEV, Split.TEST], zero, one, get_architecture(tuned["architecture"]), ALPHAS,
                    RunSettings(device=Device.CPU), cache=cache,
                ),
                parse_target(tuned["target"]),
            )  # fmt: skip
    return found


@pytest.mark.parametrize("slug", SPECIALISTS)
def test_a_specialist_gains_inside_and_forgets_outside(release, swept, slug):
    sweep, target = swept[slug]
    split = load_split(release, Split.TEST)
    base, tuned = (
        Side(correct=marks_of(split, answers_at(sweep.answers, Split.TEST, alpha)), protocol=Protocol.CAPTIONS)
        for alpha in (0.0, 1.0)
    )
    headline = forgetting(
        split.index, base, tuned, target, chance=chance_marks(split.questions), hidden=True,
        head=analysis_head(split.info, Split.TEST, key_revision=1),
    )["headline"]  # fmt: skip
    assert headline["inside"]["delta"]["low"] > 0
    assert headline["outside"]["delta"]["high"] < 0
    assert 0 < headline["retained_share"]["high"] < 1


def test_some_merge_that_dev_chooses_is_better_on_test_than_both_parents(release, swept):
    chosen = [selected(release, *found) for found in swept.values()]
    ahead = [
        each for each in chosen
        if all(each[against]["macro"]["estimate"] > 0 for against in ("vs_base", "vs_tuned"))
    ]  # fmt: skip
    assert ahead, [(each["alpha"], each["vs_base"]["macro"], each["vs_tuned"]["macro"]) for each in chosen]
    assert all(0 < each["alpha"] < 1 for each in ahead)


def selected(release: Path, sweep: Sweep, target: Target) -> dict[str, Any]:
    splits = {split: load_split(release, split) for split in (Split.DEV, Split.TEST)}
    document = score_sweep(
        splits, sweep.answers, sweep.record, target, reported=Split.TEST, select_on=Split.DEV,
        head=analysis_head(splits[Split.TEST].info, Split.TEST, key_revision=1),
    )  # fmt: skip
    return document["selected"]["best_macro"]
