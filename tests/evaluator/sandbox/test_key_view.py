"""No file that a child can open holds the key: hidden fields carry a sentinel, and its whole tree is searched."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from evaluator.release.importer import import_hub
from evaluator.release.schema import Split
from evaluator.release.view import write_view
from evaluator.sandbox import Limits
from evaluator.sandbox.command import environment, sandboxed
from evaluator.sandbox.parent import exposed
from tests.builders.hub import hub_rows, write_hub

SENTINEL = "sentinel-7f3e9a"
LIMITS = Limits(wall_s=120, processes=64, memory_bytes=4 * 1024**3)
# Files of the system are older than the sentinel, so only what changed since it was written can hold it.
SEARCH = """
import os, stat, sys
sentinel, since = sys.argv[1].encode(), float(sys.argv[2])
seen, found = 0, []
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
        seen += 1
        if sentinel in content or sentinel in path.encode():
            found.append(path)
print(seen, found)
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
    return folder


def search(folder: Path, since: float) -> str:
    """What a process finds that sees of `folder` what a child sees of its view."""
    inner = [sys.executable, "-I", "-c", textwrap.dedent(SEARCH), SENTINEL, str(since)]
    argv = sandboxed(inner, exposed(folder, gpu=False), LIMITS)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_file_that_a_child_can_open_holds_the_key(release: Path, tmp_path: Path) -> None:
    since = time.time() - 300
    for split in Split:
        view = tmp_path / f"view-{split}"
        write_view(release, [split], view)
        seen, _, found = search(view, since).partition(" ")
        assert int(seen) >= 3 and found == "[]"


def test_the_search_would_find_a_key_that_was_left_in_view(release: Path, tmp_path: Path) -> None:
    view = tmp_path / "view"
    write_view(release, [Split.TEST], view)
    (view / "left.txt").write_text(f"pmid {SENTINEL}")
    assert "/release/left.txt" in search(view, time.time() - 300)
