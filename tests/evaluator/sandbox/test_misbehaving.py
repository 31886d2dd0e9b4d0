"""Children that crash, flood or lie: nothing that they send is taken."""

import os
import subprocess
import sys
import textwrap

import psutil
import pyarrow as pa
import pytest

from evaluator.answering.run import answer_release
from evaluator.answering.settings import RunSettings
from evaluator.answers import Protocol
from evaluator.architectures.architecture import Family
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.sandbox import (
    AnswerJob,
    answer_in_child,
    process,
    supervise,
)
from evaluator.sandbox.checks import checked_answers, rows_asked
from evaluator.sandbox.frames import HEAD, JSON_CAPS, BrokenFrames, FrameReader, Kind
from evaluator.sandbox.handover import as_stream
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.weights import TINY


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
