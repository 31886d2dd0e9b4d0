"""No file that a child can open holds the key: hidden fields carry a sentinel, and a child with a real job searches its
whole tree and every descriptor it was handed."""

import json
import sys
import textwrap
import time
from pathlib import Path

import pytest

from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed
from evaluator.release.importer import import_hub
from evaluator.release.schema import Split
from evaluator.sandbox import AnswerJob, answer_in_child, process
from tests.builders.hub import hub_rows, write_hub
from tests.builders.weights import TINY

SENTINEL = "sentinel-7f3e9a"
# Files of the system are older than the sentinel, so only what changed since it was written can hold it.
SEARCH = """
import json, os, socket, stat, struct, sys
sentinel, since = sys.argv[1].encode(), float(sys.argv[2])
channel = socket.socket(fileno=int(sys.argv[3]))
head, descriptors, _, _ = socket.recv_fds(channel, 8, 99)
spec = channel.makefile("rb", buffering=0).read(struct.unpack("<Q", head)[0])
seen, found = [], ["job"] if sentinel in spec else []
for descriptor in range(3, 64):
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            seen.append(descriptor)
            content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
            found += [f"descriptor {descriptor}"] if sentinel in content else []
    except OSError:
        continue
for folder, folders, files in os.walk("/"):
    if folder == "/":
        folders.remove("proc")
    for name in files:
        path = os.path.join(folder, name)
        try:
            about = os.lstat(path)
            if not stat.S_ISREG(about.st_mode) or max(about.st_ctime, about.st_mtime) < since:
                continue
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            continue
        seen.append(path)
        if sentinel in content or sentinel in path.encode():
            found.append(path)
message = json.dumps({"seen": len(seen), "found": found})
last = json.dumps({"code": "searched", "message": message, "retry": False}).encode()
channel.sendall(struct.pack("<BQ", 6, len(last)) + last)
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    rows = hub_rows(9)
    for number, row in enumerate(rows):
        row["split"] = ("dev", "test", "sealed")[number % 3]
        if row["split"] != "dev":
            row["image_id"] = f"{SENTINEL}-{number}"
            row["image"]["path"] = f"{SENTINEL}/{number}.png"
            row["pmid"] = row["label_name"] = row["institution"] = SENTINEL
    folder = tmp_path / "release"
    import_hub(write_hub(tmp_path / "hub", rows), folder, splits="given", name="n", version="1")
    assert SENTINEL.encode() in (folder / "keys/test.parquet").read_bytes()
    return folder


@pytest.fixture
def architectures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that organisers place architectures in: every child sees it."""
    folder = tmp_path / "architectures"
    folder.mkdir()
    monkeypatch.setenv("UBENCH_ARCHITECTURES", str(folder))
    return folder


def search(release: Path, split: Split, weights: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What a process finds that is given a child's job in a child's place."""
    inner = (sys.executable, "-I", "-c", textwrap.dedent(SEARCH), SENTINEL, str(time.time() - 300))
    monkeypatch.setattr(process, "INNER", inner)
    job = AnswerJob(release=release, split=split, weights=weights, architecture=TINY, device=Device.CPU)
    with pytest.raises(EvaluationFailed) as said:
        answer_in_child(job)
    assert said.value.code == "searched", said.value
    return json.loads(said.value.message)


@pytest.mark.parametrize("split", list(Split))
def test_no_file_that_a_child_can_open_holds_the_key(
    release: Path, architectures: Path, tiny_weights: Path, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = search(release, split, tiny_weights, monkeypatch)
    assert said["found"] == [] and said["seen"] >= 5  # weights, items, questions, parts, pixels


def test_the_search_would_find_a_key_that_was_left_in_view(
    release: Path, architectures: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (architectures / "left.txt").write_text(f"pmid {SENTINEL}")
    assert search(release, Split.TEST, tiny_weights, monkeypatch)["found"] == ["/architectures/left.txt"]


def test_the_search_would_find_a_key_in_a_descriptor(
    release: Path, architectures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(SENTINEL.encode())
    [found] = search(release, Split.TEST, weights, monkeypatch)["found"]
    assert found.startswith("descriptor")
