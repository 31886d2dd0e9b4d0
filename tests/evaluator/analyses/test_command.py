"""`python -m evaluator forgetting`: answers in, forgetting.json and a summary out; wrong input ends with 2, all of it
listed."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evaluator.analyses.forgetting import Side, analysis_head, forgetting
from evaluator.analyses.splits import load_split, marks_of
from evaluator.answers import read_answers, write_answers
from evaluator.cli import main
from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from evaluator.scoring import canonical_json
from evaluator.scoring.baselines import chance_marks
from tests.builders.tables import random_answers


@pytest.fixture
def runs(small_release: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Guesses of two models for the test split; the first says how it was asked."""
    questions = read_questions(small_release, Split.TEST)
    paths = tmp_path / "base" / "answers.parquet", tmp_path / "tuned" / "answers.parquet"
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        write_answers(random_answers(questions, seed), path)
    paths[0].with_name("run.json").write_text(json.dumps({"protocol": "captions"}))
    return paths


def arguments(release: Path, base: Path, tuned: Path, out: Path, *more: str) -> list[str]:
    files = ["--base", str(base), "--tuned", str(tuned), "--out", str(out)]
    return ["forgetting", "--release", str(release), "--split", "test", *files, *more]


def test_writes_the_document_that_the_analysis_gives(
    small_release: Path, runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "forgetting.json"
    split = load_split(small_release, Split.TEST)
    facet, value = next((name, f.values[0]) for name, f in split.index.facets.items() if len(f.values) > 1)
    assert main(arguments(small_release, *runs, out, "--target", f"{facet}={value}")) == 0
    sides = [
        Side(correct=marks_of(split, read_answers(path)), protocol=protocol)
        for path, protocol in zip(runs, ("captions", "self-reported"), strict=True)
    ]
    expected = forgetting(
        split.index, *sides, {facet: (value,)}, chance=chance_marks(split.questions), hidden=True,
        head=analysis_head(split.info, Split.TEST, key_revision=1),
    )  # fmt: skip
    assert out.read_bytes() == canonical_json(expected)
    assert [path.name for path in out.parent.iterdir()] == ["forgetting.json"]
    shown = capsys.readouterr().out
    assert "mean outside" in shown and "cells_a" in shown and "were lost" in shown


def test_every_problem_is_listed_at_once(
    small_release: Path, runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, nothing = tmp_path / "forgetting.json", tmp_path / "nothing.parquet"
    assert main(arguments(small_release, nothing, tmp_path, out, "--target", "colour=red", "--target", "domain")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["target", "target", "no_such_file", "no_such_file"]
    assert main(arguments(small_release, nothing, runs[1], out, "--target", "domain=botany", "--target", "x")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["target", "no_such_file", "target_unknown_value"]
    assert main(arguments(small_release, *runs, out, "--target", "domain=botany", "--target", "stain=red")) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["target_unknown_value"] * 2
    assert "Choose one of its values here" in lines[0]
    assert not out.exists()


def test_answers_that_do_not_fit_are_named_with_their_file(
    small_release: Path, runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_dev, half = tmp_path / "dev.parquet", tmp_path / "half.parquet"
    write_answers(random_answers(read_questions(small_release, Split.DEV)), of_dev)
    whole = read_answers(runs[1])
    write_answers(whole.slice(0, whole.num_rows // 2), half)
    assert main(arguments(small_release, of_dev, half, tmp_path / "f.json")) == 2
    shown = capsys.readouterr().err
    assert "unknown_answers" in shown and "incomplete_answers" in shown
    assert str(of_dev) in shown and str(half) in shown


def test_models_without_a_common_wording_and_a_missing_key_are_the_users_to_fix(
    small_release: Path, runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, variant in zip(runs, (0, 1), strict=True):
        answers = read_answers(path)
        write_answers(answers.filter(pc.equal(answers["variant"], pa.scalar(variant, pa.int8()))), path)
    assert main(arguments(small_release, *runs, tmp_path / "f.json")) == 2
    assert "no_common_wording" in capsys.readouterr().err
    assert main(arguments(small_release, *runs, tmp_path / "f.json", "--key", str(tmp_path))) == 2
    assert "no_key" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said(
    small_release: Path, runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(arguments(small_release, *runs, tmp_path / "file" / "f.json")) == 2
    assert "cannot_write" in capsys.readouterr().err


def test_runs_where_django_and_torch_cannot_be_imported(
    small_release: Path, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    blocked = "import sys; sys.modules.update(django=None, torch=None); from evaluator.cli import forgetting; "
    run = (
        "import evaluator.analyses.interpolation, argparse; p = argparse.ArgumentParser(); "
        "forgetting.register(p.add_subparsers()); a = p.parse_args(sys.argv[1:]); a.run(a)"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocked + run, *arguments(small_release, *runs, tmp_path / "f.json")],
        capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
