"""kill -9 in the middle of a generative run: the next run goes on after the last whole batch."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from evaluator.architectures.folders import ENVIRONMENT
from leaderboard.models import Evaluation, EvaluationPart
from leaderboard.states import EvaluationState
from tests.builders.generators import LLAVA, write_llava
from tests.builders.live import LiveSystem, children_of
from tests.builders.system import run_folder
from tests.builders.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
LEASE_S = 3.0
SPLITS = ("test",)
BATCH = 8  # items of one batch on a CPU
PLACES: dict[str, Path] = {}


def place_architectures() -> dict[str, str]:
    """A random model that writes for ever, in an organiser's folder; its weights beside it."""
    folder = run_folder("generative-")
    weights = write_llava(folder / LLAVA)
    PLACES["weights"] = weights.rename(folder / "weights.safetensors")
    described = {"family": "generative", "library": "transformers", "parameters": 1, "image_px": 32}
    (folder / LLAVA / "architecture.json").write_text(json.dumps(described))
    root = folder / "architectures"
    root.mkdir()
    shutil.move(folder / LLAVA, root / LLAVA)
    return {ENVIRONMENT: str(root)}


def child_dies(runner: psutil.Process) -> None:
    for child in children_of(runner):
        child.kill()


def runner_dies(runner: psutil.Process) -> None:
    runner.kill()


@pytest.mark.parametrize("end", [runner_dies, pytest.param(child_dies, marks=pytest.mark.faults)])
def test_a_killed_generative_run_loses_at_most_one_batch(live: LiveSystem, end: Callable[[psutil.Process], None]):
    undisturbed = live.accepted(PLACES["weights"], LLAVA)
    live.assert_scored_once(undisturbed.submission, within_s=60)
    evaluation = live.accepted(PLACES["weights"], LLAVA)
    parts = EvaluationPart.objects.filter(evaluation=evaluation)
    wait_until(lambda: parts.count() >= 3, within_s=60, every_s=0.01)
    runner = live.runner_of(evaluation)
    end(runner)
    kept = max(parts.values_list("stop", flat=True))
    assert Evaluation.objects.get(pk=evaluation.pk).state != EvaluationState.SCORED, "it was killed too late"
    live.assert_scored_once(evaluation.submission, within_s=60)
    for row in (evaluation, undisturbed):
        row.refresh_from_db()
    assert kept <= evaluation.run["resumed_at"] <= kept + BATCH and undisturbed.run["resumed_at"] is None
    assert evaluation.run["counts"] == undisturbed.run["counts"]
    assert evaluation.answers_sha256 == undisturbed.answers_sha256
    assert evaluation.reports.get().document == undisturbed.reports.get().document
    assert not EvaluationPart.objects.exists()
