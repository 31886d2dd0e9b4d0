"""Children that do their job, are refused, killed or stopped: each ends as it should."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from evaluator.answering.progress import STAGES
from evaluator.answering.run import answer_release
from evaluator.answering.settings import RunSettings
from evaluator.architectures.architecture import Family
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed, InputError
from evaluator.sandbox import (
    AnswerJob,
    SandboxLevel,
    answer_in_child,
    parent,
    validate_in_child,
)
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.adapters import lora_state, merged_slowly, write_adapter
from tests.builders.waiting import all_end
from tests.builders.weights import TINY, tiny_state, write_shards, write_state
from tests.evaluator.weights.hostile import torch_file


def test_child_answers_as_this_process_does(job: AnswerJob, level: SandboxLevel) -> None:
    seen: list[dict[str, Any]] = []
    found = answer_in_child(replace(job, weights_sha256=sha256(job.weights.read_bytes()).hexdigest()), seen.append)
    with open_checkpoint(job.weights) as weights:
        here = answer_release(job.release, job.split, weights, get_architecture(TINY), RunSettings(device=Device.CPU))
    assert found.answers.drop(["scores"]).equals(here.answers.drop(["scores"]))
    assert abs(found.embeddings["embedding"] - here.embeddings["embedding"]).max() < 1e-5
    assert found.embeddings["image_id"].tolist() == here.embeddings["image_id"].tolist()
    assert found.run["sandbox"] == level.value and found.run["weights"] == here.record["weights"]
    assert list(dict.fromkeys(progress["stage"] for progress in seen)) == list(STAGES[Family.CONTRASTIVE])


@pytest.mark.parametrize("level", [SandboxLevel.BUBBLEWRAP], indirect=True)  # the weak one opens files alike
def test_child_answers_the_same_from_shards(job: AnswerJob, level: SandboxLevel, tmp_path: Path) -> None:
    shards = write_shards(tiny_state(seed=2), tmp_path)
    whole, found = answer_in_child(job), answer_in_child(replace(job, weights=shards))
    assert found.answers.equals(whole.answers)
    assert found.embeddings["embedding"].tobytes() == whole.embeddings["embedding"].tobytes()
    facts = [validate_in_child(path, TINY) for path in (job.weights, shards)]
    assert facts[0]["canonical_hash"] == facts[1]["canonical_hash"] and facts[0]["sha256"] != facts[1]["sha256"]
    assert found.run["weights"]["sha256"] == facts[1]["sha256"]
    with pytest.raises(InputError, match="weights_changed"):
        answer_in_child(replace(job, weights=shards, weights_sha256=facts[0]["sha256"]))


@pytest.mark.parametrize("level", [SandboxLevel.BUBBLEWRAP], indirect=True)  # the weak one opens files alike
def test_child_answers_with_an_adapter_as_with_its_merged_checkpoint(
    job: AnswerJob, level: SandboxLevel, tmp_path: Path
) -> None:
    base_state = tiny_state(seed=2)
    pairs = lora_state(base_state)
    adapter = write_adapter(tmp_path / "adapter", pairs)
    merged = write_state(merged_slowly(base_state, pairs), tmp_path / "merged.safetensors")
    shards = write_shards(base_state, tmp_path)
    facts = validate_in_child(adapter, TINY, base=job.weights)
    assert facts["base"] == {"name": job.weights.name, "sha256": sha256(job.weights.read_bytes()).hexdigest()}
    adapted = replace(job, weights=adapter, base=job.weights, weights_sha256=facts["sha256"])
    found, whole, plain = answer_in_child(adapted), answer_in_child(replace(job, weights=merged)), answer_in_child(job)
    assert found.answers.drop(["scores"]).equals(whole.answers.drop(["scores"]))
    assert not found.answers.drop(["scores"]).equals(plain.answers.drop(["scores"]))
    assert abs(found.embeddings["embedding"] - whole.embeddings["embedding"]).max() < 1e-5
    assert found.run["weights"]["base"] == facts["base"] and found.run["weights"]["adapter"] == facts["adapter"]
    assert found.run["weights"]["sha256"] == facts["sha256"]
    other = write_state(tiny_state(seed=3), tmp_path / "other.safetensors")
    for base in (shards, other):  # the same weights in shards are other files, too
        with pytest.raises(InputError, match="weights_changed"):
            answer_in_child(replace(adapted, base=base))
    with pytest.raises(InputError, match="base_missing"):
        answer_in_child(replace(adapted, base=None))


def test_child_validates(tiny_weights: Path) -> None:
    assert validate_in_child(tiny_weights, TINY)["parameters"] == get_architecture(TINY).parameters


def test_child_refuses_what_the_submitter_must_fix(tmp_path: Path) -> None:
    state = tiny_state()
    state["visual.proj"][0, 0] = float("nan")
    with pytest.raises(InputError, match="non_finite_weights"):
        validate_in_child(write_state(state, tmp_path / "nan.safetensors"), TINY)
    torch_file(new_format=True)(tmp_path / "pickle.safetensors", tmp_path / "canary")
    with pytest.raises(InputError, match="zip_archive"):
        validate_in_child(tmp_path / "pickle.safetensors", TINY)
    assert not (tmp_path / "canary").exists()
    with pytest.raises(InputError, match="unknown_architecture"):
        validate_in_child(tmp_path / "nan.safetensors", "no-such-model")


def test_failure_inside_reaches_the_parent_whole(job: AnswerJob, tmp_path: Path) -> None:
    state = tiny_state()
    state["visual.proj"] = torch.full_like(state["visual.proj"], 3e38)
    with pytest.raises(EvaluationFailed) as failed:
        answer_in_child(replace(job, weights=write_state(state, tmp_path / "a.safetensors")))
    assert failed.value.code == "non_finite_output" and not failed.value.retry


def test_stop_kills_at_once(job: AnswerJob, level: SandboxLevel) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    started = time.monotonic()
    with pytest.raises(EvaluationFailed) as failed:
        answer_in_child(job, should_stop=lambda: time.monotonic() - started > 1.5)
    assert failed.value.code == "stopped" and time.monotonic() - started < 5
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_time_limit_ends_the_child(job: AnswerJob) -> None:
    with pytest.raises(EvaluationFailed) as failed:
        answer_in_child(replace(job, timeout_s=0.5))
    assert failed.value.code == "timeout" and not failed.value.retry


def test_child_killed_from_outside_is_retried(job: AnswerJob, level: SandboxLevel) -> None:
    def kill_soon() -> None:
        time.sleep(1.0)
        for child in psutil.Process().children(recursive=True):
            if "evaluator.sandbox.child" in " ".join(child.cmdline()) and child.name().startswith("python"):
                child.kill()

    killer = threading.Thread(target=kill_soon)
    killer.start()
    with pytest.raises(EvaluationFailed) as failed:
        answer_in_child(job)
    killer.join()
    assert failed.value.code == "out_of_memory" and failed.value.retry


def test_too_little_memory_is_said(job: AnswerJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "LIBRARIES_BYTES", -3800 * 1024**2)
    with pytest.raises(EvaluationFailed) as failed:
        answer_in_child(job)
    assert failed.value.retry and failed.value.code in ("out_of_memory", "child_crashed")


def test_child_dies_with_a_killed_parent(job: AnswerJob, tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        sys.path[:] = {sys.path!r}
        from pathlib import Path
        from evaluator.sandbox import *
        from evaluator.release.schema import Split
        answer_in_child(AnswerJob(release=Path({str(job.release)!r}), split=Split.TEST, architecture={TINY!r},
                                  weights=Path({str(job.weights)!r})), on_progress=lambda p: print(p, flush=True))
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as runner:
        assert runner.stdout is not None and runner.stdout.readline()
        family = psutil.Process(runner.pid).children(recursive=True)
        assert family
        runner.send_signal(signal.SIGKILL)
    assert all_end(family, within_s=60)
