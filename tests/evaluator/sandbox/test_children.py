"""Children that do their job, are refused, crash, hang, lie or are stopped: each ends as it should."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
import torch

from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import STAGES
from evaluator.answering.run import answer_release
from evaluator.answering.settings import RunSettings
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Family
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed, InputError
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.sandbox import (
    AnswerJob,
    JobLimits,
    SandboxLevel,
    answer_in_child,
    parent,
    probe_in_child,
    process,
    spare,
    supervise,
    validate_in_child,
)
from evaluator.sandbox.checks import checked_answers, rows_asked
from evaluator.sandbox.frames import HEAD, JSON_CAPS, BrokenFrames, FrameReader, Kind
from evaluator.sandbox.handover import as_stream
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.adapters import lora_state, merged_slowly, write_adapter
from tests.builders.weights import TINY, tiny_state, write_shards, write_state
from tests.evaluator.weights.hostile import torch_file


@pytest.fixture
def job(small_release: Path, tiny_weights: Path) -> AnswerJob:
    return AnswerJob(
        release=small_release, split=Split.TEST, weights=tiny_weights, architecture=TINY, device=Device.CPU
    )


@pytest.fixture(params=[SandboxLevel.BUBBLEWRAP, SandboxLevel.WEAK])
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SandboxLevel:
    monkeypatch.setattr(process, "sandbox_level", lambda: request.param)
    return request.param


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
    gone, alive = psutil.wait_procs(family, timeout=5)
    assert not alive


def pretend(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another program take the child's place: `send(kind, bytes)` writes one message."""
    prelude = textwrap.dedent("""
        import json, os, socket, struct, sys, time
        channel = socket.socket(fileno=int(sys.argv[1]))
        head, descriptors, _, _ = socket.recv_fds(channel, 8, 99)
        pipe = channel.makefile("rwb", buffering=0)
        spec = json.loads(pipe.read(struct.unpack("<Q", head)[0]))
        def send(kind, payload, length=None):
            message = struct.pack("<BQ", kind, len(payload) if length is None else length) + payload
            while message:
                message = message[pipe.write(message):]
    """)
    monkeypatch.setattr(process, "INNER", (sys.executable, "-I", "-c", prelude + textwrap.dedent(code)))


@pytest.mark.parametrize(
    ("code", "expected", "retry"),
    [("sys.exit(0)", "child_crashed", True),
     ("sys.exit(7)", "child_crashed", True),
     ("os.kill(os.getpid(), 11)", "child_crashed", True),
     ("os.kill(os.getpid(), 9)", "out_of_memory", True),
     ("raise MemoryError", "out_of_memory", True),
     ("os._exit(0)", "child_crashed", True),
     ("pipe.write(b'junk' * 100)", "child_misbehaved", False),
     ("send(9, b'{}')", "child_misbehaved", False),
     ("send(1, b'not json')", "child_misbehaved", False),
     ("send(1, b'[1]')", "child_misbehaved", False),
     ("send(1, b'[' * 4000)", "child_misbehaved", False),
     ("send(2, b'', length=2**60)", "child_misbehaved", False),
     ("send(3, bytes(2**20), length=2**33)", "child_misbehaved", False),
     ("send(4, b'{}'); send(4, b'{}')", "child_misbehaved", False),
     ("send(4, b'{}')", "child_misbehaved", False),  # a result without answers
     ("send(2, b'x' * 99); send(4, b'{}')", "child_misbehaved", False),
     ("send(5, b'{}')", "child_misbehaved", False),
     ("send(6, b'{\"code\": 1}')", "child_misbehaved", False),
     ("[send(1, b'{}') for i in range(200_000)]", "child_misbehaved", False),
     ("send(7, b'short')", "child_misbehaved", False),
     ("send(7, struct.pack('<qq', 1, 2) + b'x')", "child_misbehaved", False),  # not from the first item on
     ("send(7, struct.pack('<qq', 0, 0) + b'x')", "child_misbehaved", False),
     ("send(7, struct.pack('<qq', 0, 10**6) + b'x')", "child_misbehaved", False),
     ("[send(7, struct.pack('<qq', 0, 1)) for i in (0, 1)]", "child_misbehaved", False),
     ("send(7, bytes(2**20), length=2**40)", "child_misbehaved", False)],
)  # fmt: skip
def test_child_that_breaks_or_lies_ends_in_a_plain_failure(
    job: AnswerJob, monkeypatch: pytest.MonkeyPatch, code: str, expected: str, retry: bool
) -> None:
    pretend(code, monkeypatch)
    with pytest.raises(EvaluationFailed) as failed:
        answer_in_child(job)
    assert (failed.value.code, failed.value.retry) == (expected, retry)


def test_flood_of_plain_output_is_dropped(job: AnswerJob, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(
        "print('x' * 50_000_000); send(6, json.dumps(dict(code='c', message='m', retry=False)).encode())", monkeypatch
    )
    with pytest.raises(EvaluationFailed, match="c: m"):
        answer_in_child(job)


@pytest.mark.parametrize("change", ["drop", "swap", "scores", "chosen", "nan", "column", "text", "boxes"])
def test_answers_to_other_questions_are_not_taken(job: AnswerJob, change: str) -> None:
    items, questions = read_items(job.release, Split.TEST), read_questions(job.release, Split.TEST)
    rows = rows_asked(items, questions, Family.CONTRASTIVE, Protocol.CAPTIONS)
    with open_checkpoint(job.weights) as weights:
        good = answer_release(
            job.release, job.split, weights, get_architecture(TINY), RunSettings(device=Device.CPU)
        ).answers
    how = (Protocol.CAPTIONS, Family.CONTRASTIVE)
    assert checked_answers(as_stream(good), rows, *how).equals(good)
    given = good.to_pylist()
    if change == "drop":
        given.pop()
    elif change == "swap":
        given[0], given[1] = given[1], given[0]
    elif change == "scores":
        given[3]["scores"].append(0.1)
    elif change == "chosen":
        given[3]["chosen"] = len(given[3]["scores"])
    elif change == "text":
        given[3]["text"] = "A) and much more"
    elif change == "boxes":
        given[3]["boxes"] = []
    elif change == "nan":
        given[3]["scores"][0] = float("nan")
    bad = pa.Table.from_pylist(given, good.schema)
    with pytest.raises(BrokenFrames):
        checked_answers(as_stream(bad.drop(["boxes"]) if change == "column" else bad), rows, *how)


def test_messages_are_read_whole_however_they_are_cut() -> None:
    message = HEAD.pack(Kind.PROGRESS, 9) + b'{"a": 12}' + HEAD.pack(Kind.RESULT, 2) + b"{}"
    for size in (1, 3, 10, 100):
        reader = FrameReader(JSON_CAPS)
        progress = [found for at in range(0, len(message), size) for found in reader.feed(message[at : at + size])]
        assert progress == [(Kind.PROGRESS, b'{"a": 12}')] and reader.last is Kind.RESULT


def test_parent_side_needs_no_torch_and_no_django() -> None:
    code = ("import sys; sys.modules['torch'] = sys.modules['django'] = None; sys.path[:] = " + repr(sys.path) +
            "; import evaluator.sandbox, evaluator.weights.header, evaluator.weights.keys, evaluator.answers, "
            "evaluator.architectures.registry as registry; assert len(registry.list_architectures()) > 80")  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": ""})


def test_supervisor_leaves_no_descriptors_behind(job: AnswerJob, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend("sys.exit(0)", monkeypatch)
    assert supervise.POLL_S < 1
    before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(EvaluationFailed):
            answer_in_child(job)
    assert psutil.Process().num_fds() == before


@pytest.fixture
def kept_spare(level: SandboxLevel) -> Iterator[process.Child]:
    spare.keep(Device.CPU)
    assert spare._kept is not None
    yield spare._kept
    spare.discard()


def test_the_spare_takes_one_job_and_another_stands_ready(job: AnswerJob, kept_spare: process.Child) -> None:
    first = answer_in_child(job)
    following = spare._kept
    assert following is not None and following.process.pid != kept_spare.process.pid
    assert kept_spare.process.poll() is not None and following.process.poll() is None
    assert answer_in_child(job).answers.equals(first.answers)
    assert following.process.poll() is not None


def test_a_spare_that_died_is_replaced(job: AnswerJob, kept_spare: process.Child) -> None:
    supervise.kill(kept_spare.process, grace_s=0)
    assert answer_in_child(job).answers.num_rows


def test_a_spare_is_limited_before_it_reads_its_job(job: AnswerJob, kept_spare: process.Child) -> None:
    """The limits come with the job, for a spare cannot know it: they must hold all the same."""
    del kept_spare
    with pytest.raises(EvaluationFailed) as failed:
        validate_in_child(job.weights, TINY, limits=JobLimits(wall_s=60, memory_bytes=300 * 1024**2))
    assert failed.value.code in ("out_of_memory", "child_crashed")


def test_no_spare_outlives_who_keeps_it() -> None:
    """Killed before bubblewrap has tied itself to its parent, a spare still ends: its socket is closed."""
    script = f"import sys; sys.path[:] = {sys.path!r}\n" + textwrap.dedent("""
        import time
        from evaluator.encoders.choices import Device
        from evaluator.sandbox import spare
        spare.keep(Device.CPU)
        print("kept", flush=True)
        time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None and keeper.stdout.readline()
        family = psutil.Process(keeper.pid).children(recursive=True)
        assert family
        keeper.kill()
    gone, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def test_a_killed_child_leaves_its_parts_and_the_next_goes_on(job: AnswerJob, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = answer_in_child(job)
    n_items = read_items(job.release, job.split).num_rows
    size = whole.embeddings["embedding"][:1].nbytes
    parts: list[Part] = []
    answer_in_child(job, resume=Resume(on_part=parts.append))
    assert parts[-1].stop == n_items and sum(len(part.content) for part in parts) == n_items * size
    half = Part(start=0, stop=n_items // 2, content=parts[0].content[: n_items // 2 * size])
    resumed = answer_in_child(job, resume=Resume(done=(half,), on_part=parts.append))
    assert parts[-1].start == n_items // 2 and resumed.run["resumed_at"] == n_items // 2
    assert resumed.answers.drop(["scores"]).equals(whole.answers.drop(["scores"]))
    assert abs(resumed.embeddings["embedding"] - whole.embeddings["embedding"]).max() < 1e-5


def test_a_device_that_is_not_there_is_the_machines_trouble() -> None:
    with pytest.raises(EvaluationFailed) as failed:
        probe_in_child(Device.CUDA)
    assert failed.value.code == "no_gpu" and failed.value.retry
    probe_in_child(Device.CPU)
