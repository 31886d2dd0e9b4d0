"""Sweeps and merges in sandboxed children: as in this process, resumed, refused, not taken from children that lie."""

import os
import threading
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from safetensors.torch import load_file

from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import SWEEP_STAGES
from evaluator.answering.settings import RunSettings
from evaluator.answering.sweeps.sweep import Sweep, sweep_release
from evaluator.answering.sweeps.sweep_answers import answers_at
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Family
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed, InputError
from evaluator.release.schema import Split
from evaluator.sandbox import (
    AnswerJob,
    MergeJob,
    MergePart,
    SandboxLevel,
    SweepJob,
    answer_in_child,
    merge_in_child,
    merging,
    parent,
    process,
    sweep_in_child,
)
from evaluator.sandbox.checks import checked_sweep
from evaluator.sandbox.fingerprint import sweep_fingerprint
from evaluator.sandbox.frames import BrokenFrames
from evaluator.sandbox.handover import as_stream
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.adapters import lora_state, merged_slowly, write_adapter
from tests.builders.pairs import mixed_slowly, tuned_state
from tests.builders.weights import TINY, tiny_state, write_shards, write_state
from tests.evaluator.sandbox.test_misbehaving import pretend

SPLITS = (Split.DEV, Split.TEST)
ALPHAS = (0.0, 0.3, 1.0)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_state(tuned_state(tiny_state(seed=2)), tmp_path_factory.mktemp("tuned") / "tuned.safetensors")


@pytest.fixture
def sweep_job(small_release: Path, tiny_weights: Path, tuned: Path) -> SweepJob:
    return SweepJob(
        release=small_release, splits=SPLITS, base=tiny_weights, tuned=tuned, architecture=TINY, alphas=ALPHAS,
        device=Device.CPU,
    )  # fmt: skip


def here(job: SweepJob) -> Sweep:
    with open_checkpoint(job.base) as base, open_checkpoint(job.tuned) as tuned:
        return sweep_release(
            job.release, job.splits, base, tuned, get_architecture(TINY), job.alphas, RunSettings(device=Device.CPU)
        )


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def test_child_sweeps_as_this_process_does(sweep_job: SweepJob, level: SandboxLevel) -> None:
    seen: list[dict[str, Any]] = []
    job = replace(sweep_job, base_sha256=digest(sweep_job.base), tuned_sha256=digest(sweep_job.tuned))
    found = sweep_in_child(job, seen.append)
    expected = here(job)
    assert found.answers.drop(["scores"]).equals(expected.answers.drop(["scores"]))
    for name in ("base", "tuned", "merge", "logit_scale", "broken", "alphas", "splits"):
        assert found.run[name] == expected.record[name]
    assert found.run["sandbox"] == level.value
    assert list(dict.fromkeys(progress["stage"] for progress in seen)) == list(SWEEP_STAGES)
    one = AnswerJob(release=job.release, split=Split.TEST, weights=job.tuned, architecture=TINY, device=Device.CPU)
    assert answers_at(found.answers, Split.TEST, 1).equals(answer_in_child(one).answers)


def test_a_child_killed_after_an_alpha_loses_no_other(sweep_job: SweepJob) -> None:
    alphas = tuple(number / 20 for number in range(21))
    parts: list[Part] = []

    def kill_soon() -> None:
        while len(parts) < 2:
            time.sleep(0.01)
        for child in psutil.Process().children(recursive=True):
            if "evaluator.sandbox.child" in " ".join(child.cmdline()) and child.name().startswith("python"):
                child.kill()

    killer = threading.Thread(target=kill_soon)
    killer.start()
    job = replace(sweep_job, alphas=alphas)
    with pytest.raises(EvaluationFailed) as failed:
        sweep_in_child(job, resume=Resume(on_part=parts.append))
    killer.join()
    assert failed.value.code == "out_of_memory" and failed.value.retry
    assert [(part.start, part.stop) for part in parts] == [(n, n + 1) for n in range(len(parts))]
    kept = len(parts)
    assert 2 <= kept < len(alphas)
    resumed = sweep_in_child(job, resume=Resume(done=tuple(parts), on_part=parts.append))
    assert resumed.run["resumed_at"] == kept and len(parts) == len(alphas)
    assert resumed.answers.equals(sweep_in_child(job).answers)


def test_adapters_and_shards_are_swept(sweep_job: SweepJob, tmp_path: Path) -> None:
    state = tiny_state(seed=2)
    pairs = lora_state(state)
    adapter, shards = write_adapter(tmp_path / "adapter", pairs), write_shards(state, tmp_path)
    merged = write_state(merged_slowly(state, pairs), tmp_path / "merged.safetensors")
    found = sweep_in_child(replace(sweep_job, base=shards, tuned=adapter, tuned_base=sweep_job.base))
    expected = sweep_in_child(replace(sweep_job, tuned=merged))
    assert found.answers.drop(["scores"]).equals(expected.answers.drop(["scores"]))
    assert found.run["tuned"]["base"]["sha256"] == digest(sweep_job.base)
    turned = sweep_in_child(replace(sweep_job, base=adapter, base_base=sweep_job.base, tuned=sweep_job.base))
    assert answers_at(turned.answers, Split.DEV, 0).equals(answers_at(found.answers, Split.DEV, 1))


@pytest.mark.parametrize(
    ("change", "code"),
    [({"alphas": (0.5,)}, "bad_alphas"), ({"splits": ()}, "bad_splits"), ({"splits": SPLITS[:1] * 2}, "bad_splits"),
     ({"architecture": "none"}, "unknown_architecture"), ({"protocol": Protocol.LETTER}, "protocol_not_supported"),
     ({"base_sha256": "0" * 64}, "weights_changed"), ({"tuned_sha256": "0" * 64}, "weights_changed")],
)  # fmt: skip
def test_a_job_that_cannot_be_done_is_refused(sweep_job: SweepJob, change: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError, match=code):
        sweep_in_child(replace(sweep_job, **change))


def test_a_base_of_another_architecture_is_told(sweep_job: SweepJob, tmp_path: Path) -> None:
    state = tiny_state()
    del state["visual.proj"]
    with pytest.raises(InputError, match="base_other_architecture.*visual.proj"):
        sweep_in_child(replace(sweep_job, base=write_state(state, tmp_path / "a.safetensors")))


def test_stop_time_and_memory_end_a_sweep(sweep_job: SweepJob, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    with pytest.raises(EvaluationFailed, match="stopped"):
        sweep_in_child(sweep_job, should_stop=lambda: time.monotonic() - started > 1.0)
    with pytest.raises(EvaluationFailed, match="timeout"):
        sweep_in_child(replace(sweep_job, timeout_s=0.3))
    monkeypatch.setattr(parent, "LIBRARIES_BYTES", -3900 * 1024**2)
    with pytest.raises(EvaluationFailed) as failed:
        sweep_in_child(sweep_job)
    assert failed.value.retry and failed.value.code in ("out_of_memory", "child_crashed")


def test_the_fingerprint_covers_both_checkpoints_and_the_alphas(sweep_job: SweepJob) -> None:
    jobs = [sweep_job] + [
        replace(sweep_job, **change)
        for change in ({"alphas": (0.0, 1.0)}, {"splits": SPLITS[:1]}, {"base_sha256": "a"}, {"tuned_sha256": "a"})
    ]
    assert len({sweep_fingerprint(job) for job in jobs}) == len(jobs)
    assert sweep_fingerprint(sweep_job) == sweep_fingerprint(replace(sweep_job, timeout_s=1.0))


LIES = [
    "fewer rows", "another order", "an option too many", "a score between", "no score at an end", "NaN", "a column",
    "other alphas", "a broken alpha with rows", "an alpha not asked", "no merge", "a scale of 0", "boxes",
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_answers_of_a_child_that_lies_are_not_taken(sweep_job: SweepJob, lie: str) -> None:
    done = here(sweep_job)
    record, given = dict(done.record), done.given.to_pylist()
    how = (done.rows, ALPHAS, Protocol.CAPTIONS, Family.CONTRASTIVE)
    assert checked_sweep(as_stream(done.given), record, *how).equals(done.answers)
    middle = len(given) // 2
    match lie:
        case "fewer rows":
            given.pop()
        case "another order":  # the last row of one question, which has other options, at the first of another
            place = next(i for i, row in enumerate(given) if len(row["scores"]) != len(given[0]["scores"]))
            given[0], given[place] = given[place], given[0]
        case "an option too many":
            given[middle]["chosen"] = 20
        case "a score between":
            given[middle]["scores"] = [0.1, 0.2]
        case "no score at an end":
            given[0]["scores"] = None
        case "NaN":
            given[0]["scores"][0] = float("nan")
        case "other alphas":
            record["alphas"] = [0.0, 0.5, 1.0]
        case "a broken alpha with rows":
            record["broken"] = [{"alpha": 0.3, "code": "non_finite_output", "message": "m"}]
        case "an alpha not asked":
            record["broken"] = [{"alpha": 0.4, "code": "non_finite_output", "message": "m"}]
        case "no merge":
            del record["merge"]
        case "a scale of 0":
            record["logit_scale"] = {"base": 0.0, "tuned": 1.0}
        case "boxes":
            given[middle]["boxes"] = []
    bad = pa.Table.from_pylist(given, done.given.schema)
    with pytest.raises(BrokenFrames):
        checked_sweep(as_stream(bad.drop(["boxes"]) if lie == "a column" else bad), record, *how)


@pytest.mark.parametrize(
    "code", ["send(4, b'{}')", "send(2, b'x' * 99); send(4, b'{}')", "send(7, struct.pack('<qq', 0, 2) + b'x')",
             "send(7, struct.pack('<qq', 2, 3) + b'x')", "send(2, b'', length=2**60)", "send(3, b'x')"],
)  # fmt: skip
def test_a_sweep_that_breaks_the_protocol_is_thrown_away(
    sweep_job: SweepJob, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    pretend(code, monkeypatch)
    with pytest.raises(EvaluationFailed) as failed:
        sweep_in_child(sweep_job)
    assert failed.value.code == "child_misbehaved" and not failed.value.retry


@pytest.fixture
def merge_job(tiny_weights: Path, tuned: Path) -> MergeJob:
    return MergeJob(
        parts=(MergePart(path=tiny_weights, weight=0.7, sha256=digest(tiny_weights)),
               MergePart(path=tuned, weight=0.3, sha256=digest(tuned))),
        architecture=TINY,
    )  # fmt: skip


def test_child_merges(merge_job: MergeJob, level: SandboxLevel, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    with out.open("wb") as file:
        facts = merge_in_child(merge_job, file)
    assert facts["interpolated_tensors"] == facts["tensors"] and facts["bytes"] == out.stat().st_size
    expected = mixed_slowly([load_file(part.path) for part in merge_job.parts], [0.7, 0.3])
    found = load_file(out)
    assert found.keys() == expected.keys()
    assert all(abs(found[name] - tensor).max() <= 1e-6 * (1 + tensor.abs().max()) for name, tensor in expected.items())
    assert list(tmp_path.iterdir()) == [out]  # the file between had no name


def test_a_merge_as_large_as_it_must_be_is_written(merge_job: MergeJob, tmp_path: Path) -> None:
    """Half precision doubles, and a soup of an adapter, its base and shards is one file still."""
    state = tiny_state(seed=2)
    half = write_state({name: tensor.half() for name, tensor in state.items()}, tmp_path / "half.safetensors")
    adapter = write_adapter(tmp_path / "adapter", lora_state(state))
    parts = (MergePart(path=half, weight=0.5), MergePart(path=adapter, base=half, weight=0.5))
    with (tmp_path / "out.safetensors").open("wb") as file:
        merge_in_child(replace(merge_job, parts=parts), file)
    assert (tmp_path / "out.safetensors").stat().st_size > 1.9 * half.stat().st_size


@pytest.mark.parametrize(
    ("change", "code"),
    [({"weight": 0.9}, "merge_weights"), ({"sha256": "0" * 64}, "weights_changed")],
)  # fmt: skip
def test_a_merge_that_cannot_be_made_is_refused(
    merge_job: MergeJob, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    first, second = merge_job.parts
    with (tmp_path / "out").open("wb") as file, pytest.raises(InputError, match=code):
        merge_in_child(replace(merge_job, parts=(first, replace(second, **change))), file)
    assert (tmp_path / "out").stat().st_size == 0


@pytest.mark.parametrize(
    "code",
    ["send(4, b'{}')",  # nothing written
     "os.write(out, b'x' * 1000); send(4, b'{}')",
     "os.write(out, head_of_4_bytes + b'1234' + b'more'); send(4, b'{}')",
     "os.lseek(out, 1 << 30, 0); os.write(out, b'x'); send(4, b'{}')",  # beyond what the kernel lets it write
     "os.ftruncate(out, 1 << 40); send(4, b'{}')",
     "os.posix_fallocate(out, 0, 1 << 30); send(4, b'{}')"],
)  # fmt: skip
def test_a_child_that_writes_no_checkpoint_leaves_nothing(
    merge_job: MergeJob, level: SandboxLevel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    prelude = """
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        out = descriptors_of[spec["files"].index("out")]
        header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        head_of_4_bytes = struct.pack("<Q", len(header)) + header
    """
    import textwrap

    pretend("descriptors_of = descriptors\n" + textwrap.dedent(prelude) + code, monkeypatch)
    with (tmp_path / "out").open("wb") as file, pytest.raises(EvaluationFailed) as failed:
        merge_in_child(merge_job, file)
    assert failed.value.code in ("child_misbehaved", "child_crashed")
    assert (tmp_path / "out").stat().st_size == 0 and list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_the_child_is_held_to_the_bytes_of_its_merge(merge_job: MergeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    start = process.start_child

    def start_child(**how: Any) -> Any:
        started.append(how["limits"])
        return start(**how)

    monkeypatch.setattr(merging, "start_child", start_child)
    with Path(os.devnull).open("wb") as file:
        merge_in_child(merge_job, file)
    [limits] = started
    largest = max(part.path.stat().st_size for part in merge_job.parts)
    assert largest < limits.written_file_bytes < 2 * largest + 5 * 1024**2
