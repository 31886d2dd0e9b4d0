"""`active-learning` as a user meets it: what it prints and writes, its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluator.cli import main
from tests.builders.mixtures import mixture


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mixture(n_pool=90, n_test=40, dim=12, n_classes=3).save(tmp_path_factory.mktemp("pool") / "pool.npz")


def test_a_run_in_a_process_of_its_own_and_again_in_this_one(pool, tmp_path, capsys):
    arguments = ["active-learning", "--pool", str(pool), "--strategy", "dropquery", "--start", "centroid", "--rounds",
                 "3", "--per-round", "5", "--seeds", "1,10", "--device", "cpu", "--out"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "evaluator", *arguments, tmp_path / "first.json"], capture_output=True, text=True,
        timeout=120, cwd=Path(__file__).parents[3], check=True,
    )  # fmt: skip
    assert main([*arguments, str(tmp_path / "second.json")]) == 0
    curves, again = (json.loads((tmp_path / name).read_text("utf-8")) for name in ("first.json", "second.json"))
    assert done.stderr == ""  # no progress line where there is no terminal
    assert "DropQuery, start centroid, paper head, mean of 2 seeds" in done.stdout and "3.0 of 3" in done.stdout
    assert (curves["strategy"], curves["start"], len(curves["runs"])) == ("dropquery", "centroid", 2)
    for line, other in zip(curves["runs"], again["runs"], strict=True):
        assert line["labels"] == [5, 10, 15] and len(line["accuracy"]) == 3 and line["seconds"] > 0
        assert [len(ids) for ids in line["selected"]] == [5, 5, 5] and len(set(sum(line["selected"], []))) == 15
        assert line["selected"] == other["selected"] and line["accuracy"] == other["accuracy"]
    assert set(curves["aulc"]) == {"mean", "sd"} and 0 < curves["aulc"]["mean"] <= 1


def test_defaults_are_one_label_per_class_and_the_own_start(pool, tmp_path, capsys):
    out = tmp_path / "curves.json"
    arguments = ["--strategy", "typiclust", "--rounds", "2", "--seeds", "7", "--propagate", "--out", str(out)]
    assert main(["active-learning", "--pool", str(pool), *arguments]) == 0
    curves = json.loads(out.read_text("utf-8"))
    assert curves["start"] == "typiclust" and curves["propagated"] and curves["runs"][0]["labels"] == [3, 6]
    assert curves["aulc"]["sd"] is None and "±" not in capsys.readouterr().out


def test_the_standard_head_learns_too_and_knows_no_propagated_labels(pool, tmp_path, capsys):
    out = tmp_path / "curves.json"
    arguments = ["--strategy", "dropquery", "--rounds", "3", "--per-round", "6", "--seeds", "1", "--head", "standard"]
    command = ["active-learning", "--pool", str(pool), *arguments, "--out", str(out)]
    assert main(command) == 0
    curves = json.loads(out.read_text("utf-8"))
    assert curves["head"] == "standard" and curves["runs"][0]["accuracy"][-1] > 0.6
    assert main([*command, "--propagate"]) == 2 and "not_together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "1,10,1"], "bad_seeds: seeds: '1,10,1' names a seed twice"),
        (["--seeds", "1,,2"], "bad_seeds"),
        (["--seeds", "-1"], "bad_seeds"),
        (["--seeds", "9" * 30], "bad_seeds"),
        (["--rounds", "0"], "bad_budget: rounds"),
        (["--per-round", "-4"], "bad_budget: per-round"),
        (["--rounds", "9", "--per-round", "11"], "too_few_candidates: 9 rounds of 11 ask for 99 labels"),
        (["--pool", "nowhere.npz"], "no_such_file"),
    ],
)
def test_wrong_use_exits_with_two_and_a_sentence(pool, tmp_path, capsys, arguments, said):
    out = tmp_path / "curves.json"
    command = ["active-learning", "--pool", str(pool), "--strategy", "random", "--out", str(out), *arguments]
    assert main(command) == 2
    assert said in capsys.readouterr().err and not out.exists()


def test_everything_wrong_with_a_pool_is_listed(tmp_path, capsys):
    path = mixture(n_pool=30, n_test=10, dim=4, n_classes=3).save(
        tmp_path / "pool.npz", train_x=np.full((30, 4), np.nan), test_x=None
    )
    command = ["active-learning", "--pool", str(path), "--strategy", "random", "--out", str(tmp_path / "curves.json")]
    assert main(command) == 2
    listed = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in listed] == [
        ["missing_array", "test_x"], ["not_finite_features", "train_x"]
    ]  # fmt: skip


def test_a_result_that_cannot_be_written_is_said(pool, tmp_path, capsys):
    command = ["active-learning", "--pool", str(pool), "--strategy", "random", "--rounds", "1", "--seeds", "1"]
    assert main([*command, "--out", str(pool / "curves.json")]) == 2
    assert "cannot_write" in capsys.readouterr().err


def test_unknown_names_and_help(capsys):
    for arguments, code in ((["--strategy", "guess"], 2), (["--help"], 0)):
        with pytest.raises(SystemExit) as ended:
            main(["active-learning", "--pool", "x", "--out", "y", *arguments])
        assert ended.value.code == code
    assert "python -m evaluator active-learning" in capsys.readouterr().out.split("example:")[1]
