"""The two commands as a user meets them: what they print, and their exit codes, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.answers import read_answers
from evaluator.release.key import read_key
from evaluator.release.read import read_items
from evaluator.release.schema import Split
from tests.builders.hub import hub_rows, write_hub

EXTRA_DATA = os.environ.get("UBENCH_EXTRA_DATA")
WITHOUT_DJANGO = (
    "import sys; sys.modules['django'] = None; from evaluator.cli import main; sys.exit(main(sys.argv[1:]))"
)


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_DJANGO, *map(str, arguments)], capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip


def test_import_then_check(tmp_path):
    write_hub(tmp_path / "hub", hub_rows(20))
    done = run("import-ubench", tmp_path / "hub", "--out", tmp_path / "out", "--splits", "dev=0.5,test=0.5")
    assert (done.returncode, done.stderr) == (0, "")  # no progress line where there is no terminal
    assert "dev" in done.stdout and "keep them private" in done.stdout
    folder = tmp_path / "pack"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", tmp_path / "out/packs/test.zip", folder], check=True)
    done = run("check-predictions", folder / "sample_predictions.csv", "--release", folder, "--split", "test",
               "--out", tmp_path / "checked")  # fmt: skip
    assert done.returncode == 0 and "complete for question form" in done.stdout
    assert read_answers(tmp_path / "checked/answers.parquet").num_rows == 6 * read_items(folder, Split.TEST).num_rows


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import-ubench", "nowhere", "--out", "x"], "no_such_folder: nowhere is not a folder"),
        (["import-ubench", "tests", "--out", "x", "--splits", "dev=0.5"], "bad_splits"),
        (["import-ubench", "tests", "--out", "x", "--splits", "train=1"], "write dev=0.3,test=0.4"),
        (["import-ubench", "tests", "--out", "x", "--source", "no rule"], "write DATASET=REGEX"),
        (["check-predictions", "nowhere", "--release", "tests", "--split", "test"], "not_a_release"),
        (["check-predictions", "nowhere", "--release", "tests", "--split", "train"], "invalid choice"),
    ],
)
def test_wrong_use_exits_with_two_and_a_sentence(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2 and said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["import-ubench", "check-predictions"])
def test_help_shows_an_example(command):
    assert f"python -m evaluator {command}" in run(command, "--help").stdout.split("example:")[1]


@pytest.mark.skipif(not EXTRA_DATA, reason="UBENCH_EXTRA_DATA names no folder with real micrographs")
def test_real_micrographs(tmp_path):
    folder = next(path for path in [Path(EXTRA_DATA), *Path(EXTRA_DATA).rglob("realmicro")] if path.name == "realmicro")
    done = run("import-ubench", folder, "--out", tmp_path / "real", "--source", "bccd_cells=^(.+)_[^_]+$")
    assert done.returncode == 0, done.stderr
    keys = {split: read_key(tmp_path / "real/keys", split) for split in Split}
    assert sum(key.num_rows for key in keys.values()) == 853
    sources = [set(key["source"].to_pylist()) for key in keys.values()]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 503
    assert all(len(set(key["label_name"].to_pylist())) == 6 for key in keys.values())
    assert all(None in key["stain"].to_pylist() for key in keys.values())
