"""The commands `validate`, `convert`, `answer`, `architectures`: without Django or keys, plain exit codes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from evaluator.answers import read_answers
from evaluator.cli import main
from tests.builders.weights import TINY, tiny_state, write_shards

WITHOUT_DJANGO = f"""
import sys
sys.path[:] = {sys.path!r}
sys.modules["django"] = None
from evaluator.cli import main
sys.exit(main(sys.argv[1:]))
"""


def answer(release: Path, weights: Path, out: Path, *options: str) -> list[str]:
    return ["answer", "--release", str(release), "--split", "test", "--weights", str(weights), "--architecture", TINY,
            "--device", "cpu", "--out", str(out), *options]  # fmt: skip


def test_answer_works_without_keys_and_without_django(small_release: Path, tiny_weights: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    shutil.copytree(small_release, release, ignore=shutil.ignore_patterns("keys", "packs", "id_secret"))
    assert not list(release.rglob("*key*"))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_DJANGO, *answer(release, tiny_weights, tmp_path / "out")],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""}, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "questions on" in done.stdout and "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"answers.parquet", "embeddings.npz", "run.json"}
    assert json.loads((tmp_path / "out/run.json").read_text())["sandbox"] == "none"
    assert read_answers(tmp_path / "out/answers.parquet").num_rows


def test_answer_from_a_config_file_is_the_same(small_release: Path, tiny_weights: Path, tmp_path: Path) -> None:
    from evaluator.architectures.registry import OWN_CONFIGS

    assert main(answer(small_release, tiny_weights, tmp_path / "a")) == 0
    command = answer(small_release, tiny_weights, tmp_path / "b")
    command[command.index(TINY)] = str(OWN_CONFIGS / f"{TINY}.json")
    assert main(command) == 0
    assert (tmp_path / "a/answers.parquet").read_bytes() == (tmp_path / "b/answers.parquet").read_bytes()


def test_shards_answer_as_the_one_file_does(
    small_release: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {name: tensor.half() for name, tensor in tiny_state(seed=1).items()}
    index = write_shards(state, tmp_path)
    assert main(answer(small_release, tiny_weights, tmp_path / "a")) == 0
    assert main(answer(small_release, index, tmp_path / "b")) == 0
    for name in ("answers.parquet", "embeddings.npz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert main(["validate", str(index), "--architecture", TINY]) == 0
    assert "valid: 98 tensors" in capsys.readouterr().out
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    assert main(["validate", str(index), "--architecture", TINY]) == 2
    assert "missing_shard" in capsys.readouterr().err


def test_convert_then_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "model.pt", tmp_path / "model.safetensors"
    torch.save({"state_dict": tiny_state()}, source)
    assert main(["convert", str(source), "--out", str(target), "--architecture", TINY]) == 0
    assert "valid: 98 tensors" in capsys.readouterr().out
    assert main(["validate", str(target), "--architecture", TINY]) == 0
    assert "preprocessing: 64 px" in capsys.readouterr().out
    assert main(["convert", str(source), "--out", str(target)]) == 2
    assert "file_exists" in capsys.readouterr().err


def test_wrong_input_ends_with_2_and_every_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "model.safetensors"
    torch.save(tiny_state(), source)
    for command, code in (
        (["validate", str(source), "--architecture", TINY], "zip_archive"),
        (["validate", str(tmp_path / "none"), "--architecture", TINY], "no_such_file"),
        (["validate", str(source), "--architecture", "ViT-B-33"], "unknown_architecture"),
        (["convert", str(source), "--out", str(tmp_path / "no/folder.safetensors")], "no_such_folder"),
        (answer(tmp_path, source, tmp_path / "out"), "zip_archive"),
    ):
        assert main(command) == 2
        assert code in capsys.readouterr().err


def test_answer_of_a_folder_that_is_no_release_ends_with_2(
    tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(answer(tmp_path, tiny_weights, tmp_path / "out")) == 2
    assert "not_a_release" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_letter_protocol_is_refused_before_anything_is_read(
    small_release: Path, tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(answer(small_release, tiny_weights, tmp_path / "out", "--protocol", "letter")) == 2
    assert "protocol_not_supported" in capsys.readouterr().err


def test_architectures_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["architectures", "--match", "vit-b-32"]) == 0
    shown = capsys.readouterr().out
    assert "ViT-B-32-quickgelu" in shown and "QuickGELU" in shown and "same tensors as ViT-B-32" in shown
    assert main(["architectures", "--json"]) == 0
    assert TINY in {entry["name"] for entry in json.loads(capsys.readouterr().out)}


@pytest.mark.parametrize("command", ["convert", "architectures", "validate", "answer"])
def test_help_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0 and f"example:\n  python -m evaluator {command}" in capsys.readouterr().out
