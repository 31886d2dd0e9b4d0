"""`python -m evaluator score`: files in, report.json and a summary out; wrong input ends with 2 and a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.answers import read_answers, write_answers
from evaluator.cli import main
from evaluator.release.key import read_key
from evaluator.release.read import read_info, read_questions
from evaluator.release.schema import Split
from evaluator.scoring import canonical_json, score
from tests.builders.tables import random_answers


@pytest.fixture
def answers(small_release: Path, tmp_path: Path) -> Path:
    """Guesses for the test split."""
    path = tmp_path / "answers.parquet"
    write_answers(random_answers(read_questions(small_release, Split.TEST)), path)
    return path


def arguments(release: Path, answers: Path, out: Path) -> list[str]:
    return ["score", "--release", str(release), "--split", "test", "--answers", str(answers), "--out", str(out)]


def test_writes_the_report_that_scoring_gives(
    small_release: Path, answers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "report.json"
    assert main(arguments(small_release, answers, out)) == 0
    expected = score(
        read_info(small_release), Split.TEST, read_questions(small_release, Split.TEST),
        read_key(small_release / "keys", Split.TEST), read_answers(answers), protocol="self-reported", key_revision=1,
    )  # fmt: skip
    assert out.read_bytes() == canonical_json(expected.report)
    assert [path.name for path in out.parent.iterdir()] == ["report.json"]
    shown = capsys.readouterr().out
    assert "cells_a" in shown and "coarse-stain" in shown and "macro" in shown


def test_the_run_beside_the_answers_names_the_protocol(small_release: Path, answers: Path, tmp_path: Path) -> None:
    answers.with_name("run.json").write_text(json.dumps({"protocol": "captions"}))
    assert main(arguments(small_release, answers, tmp_path / "report.json")) == 0
    assert json.loads((tmp_path / "report.json").read_bytes())["protocol"] == "captions"


def test_a_missing_key_and_anothers_answers_are_the_users_to_fix(
    small_release: Path, answers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.json"
    assert main([*arguments(small_release, answers, out), "--key", str(tmp_path)]) == 2
    assert "--key" in capsys.readouterr().err
    of_dev = tmp_path / "dev.parquet"
    write_answers(random_answers(read_questions(small_release, Split.DEV)), of_dev)
    assert main(arguments(small_release, of_dev, out)) == 2
    assert "unknown_answers" in capsys.readouterr().err
    assert main(arguments(small_release, tmp_path / "nothing.parquet", out)) == 2
    assert not out.exists()


def test_scores_where_django_and_torch_cannot_be_imported(small_release: Path, answers: Path, tmp_path: Path) -> None:
    blocked = "import sys; sys.modules.update(django=None, torch=None); from evaluator.cli import main; "
    scoring = "from evaluator.cli import score; import argparse; p = argparse.ArgumentParser(); "
    run = "score.register(p.add_subparsers()); a = p.parse_args(sys.argv[1:]); a.run(a)"
    done = subprocess.run(
        [sys.executable, "-c", blocked + scoring + run, *arguments(small_release, answers, tmp_path / "report.json")],
        capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
