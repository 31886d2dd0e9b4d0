"""Spare children, parts that outlive a child, and devices that are tried out."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator

import psutil
import pytest

from evaluator.answering.parts import Part, Resume
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed
from evaluator.release.read import read_items
from evaluator.sandbox import (
    AnswerJob,
    JobLimits,
    SandboxLevel,
    answer_in_child,
    probe_in_child,
    process,
    spare,
    supervise,
    validate_in_child,
)
from tests.builders.waiting import all_end
from tests.builders.weights import TINY


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
    assert all_end(family, within_s=60)


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
