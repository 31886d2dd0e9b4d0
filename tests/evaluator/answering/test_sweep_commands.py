"""The commands `sweep`, `interpolate` and `merge`: what they write, key and weights apart, plain exit codes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from evaluator.answering.sweeps.sweep_answers import answers_at, read_sweep
from evaluator.answers import read_answers
from evaluator.architectures.registry import OWN_CONFIGS
from evaluator.cli import main
from evaluator.cli.sweep import parse_alphas
from evaluator.errors import InputError
from evaluator.release.schema import Split
from tests.builders.adapters import lora_state, write_adapter
from tests.builders.pairs import tuned_state
from tests.builders.weights import TINY, tiny_state, write_state

CONFIG = str(OWN_CONFIGS / f"{TINY}.json")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder, base = tmp_path_factory.mktemp("pair"), tiny_state(1)
    return (write_state(base, folder / "base.safetensors"),
            write_state(tuned_state(base), folder / "tuned.safetensors"))  # fmt: skip


def command(name: str, release: Path, pair: tuple[Path, Path], out: Path, **options: Any) -> list[str]:
    given = {"release": release, "split": "test", "base": pair[0], "tuned": pair[1], "architecture": TINY,
             "alphas": "0:1:0.5", "device": "cpu", "out": out} | options  # fmt: skip
    return [name, *(f"--{key.replace('_', '-')}={value}" for key, value in given.items())]


def test_interpolate_scores_what_a_child_answered(
    small_release: Path, pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A registered architecture and the same by its config file; what is kept is what `answer` gives."""
    documents = []
    for name, architecture in (("a", TINY), ("b", CONFIG)):
        options = {"select_on": "dev", "architecture": architecture, "answers": tmp_path / name}
        assert main(command("interpolate", small_release, pair, tmp_path / f"{name}.json", **options)) == 0
        documents.append(json.loads((tmp_path / f"{name}.json").read_text()))
    shown = capsys.readouterr().out
    assert "alpha 0.5" in shown and "best macro" in shown
    assert documents[0] == documents[1]
    assert [each["alpha"] for each in documents[0]["alphas"]] == [0, 0.5, 1]
    assert documents[0]["selected_alpha"] in (0, 0.5, 1) and documents[0]["release"]["name"] == "Small"
    swept = read_sweep(tmp_path / "a/sweep.parquet")
    for alpha, weights in zip((0, 1), pair, strict=True):
        out = tmp_path / f"alone-{alpha}"
        assert main(["answer", "--release", str(small_release), "--split", "test", "--weights", str(weights),
                     "--architecture", TINY, "--device", "cpu", "--out", str(out)]) == 0  # fmt: skip
        assert answers_at(swept, Split.TEST, alpha).equals(read_answers(out / "answers.parquet"))
        assert main(["score", "--release", str(small_release), "--split", "test", "--answers",
                     str(out / "answers.parquet"), "--out", str(tmp_path / "report.json")]) == 0  # fmt: skip
        report = json.loads((tmp_path / "report.json").read_text())
        found = documents[0]["alphas"][2 * alpha]["aggregates"]["macro"]["estimate"]
        assert found == report["aggregates"]["macro"]["1"]["estimate"]
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("a", "b")]
    assert records[0]["sandbox"] in ("bubblewrap", "weak") and records[1]["sandbox"] == "none"


WITHOUT_TORCH = f"""
import sys
sys.path[:] = {sys.path!r}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "safetensors", "django"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
from evaluator.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("architecture", [TINY, CONFIG])
def test_no_process_of_interpolate_has_both_weights_and_key(
    small_release: Path, pair: tuple[Path, Path], tmp_path: Path, architecture: str
) -> None:
    """The process that reads the keys could not load weights; the one that loads them gets a release without keys."""
    release = tmp_path / "release"
    shutil.copytree(small_release, release, ignore=shutil.ignore_patterns("keys", "packs", "id_secret"))
    assert not list(release.rglob("*key*"))
    options = {"key": small_release / "keys", "architecture": architecture}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *command("interpolate", release, pair, tmp_path / "i.json", **options)],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": ""}, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "i.json").read_text())["analysis"] == "interpolation"


def test_sweep_needs_no_key(small_release: Path, pair: tuple[Path, Path], tmp_path: Path) -> None:
    release = tmp_path / "release"
    shutil.copytree(small_release, release, ignore=shutil.ignore_patterns("keys", "packs", "id_secret"))
    assert main([*command("sweep", release, pair, tmp_path / "out"), "--split=dev"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sweep.parquet", "run.json"}
    assert json.loads((tmp_path / "out/run.json").read_text())["splits"] == ["test", "dev"]
    assert set(read_sweep(tmp_path / "out/sweep.parquet")["alpha"].to_pylist()) == {0, 0.5, 1}


def test_an_adapter_is_tuned_on_the_base_and_merges_with_it(
    small_release: Path, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path / "lora", lora_state(load_file(pair[0])))
    assert main(command("sweep", small_release, (pair[0], adapter), tmp_path / "out")) == 0
    assert json.loads((tmp_path / "out/run.json").read_text())["tuned"]["adapter"]["adapted_tensors"] == 6
    out = tmp_path / "half.safetensors"
    assert main(["merge", "--part", f"{pair[0]}=0.5", "--part", f"{adapter}=0.5", "--architecture", TINY,
                 "--out", str(out)]) == 0  # fmt: skip
    assert main(["answer", "--release", str(small_release), "--split", "test", "--weights", str(out),
                 "--architecture", TINY, "--device", "cpu", "--out", str(tmp_path / "half")]) == 0  # fmt: skip
    merged = read_answers(tmp_path / "half/answers.parquet")
    swept = answers_at(read_sweep(tmp_path / "out/sweep.parquet"), Split.TEST, 0.5)
    assert swept["chosen"].equals(merged["chosen"])


def test_wrong_input_ends_with_2_and_a_code(
    small_release: Path, pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, tuned = pair
    state = load_file(base)
    del state["visual.proj"]
    wrong = write_state(state, tmp_path / "wrong.safetensors")
    out = tmp_path / "out"
    merge = ["merge", "--architecture", TINY, "--out", str(out)]
    cases: list[tuple[list[str], str]] = [
        (command("interpolate", small_release, (wrong, tuned), out), "base_other_architecture"),
        (command("interpolate", small_release, (wrong, tuned), out, architecture=CONFIG), "base_other_architecture"),
        (command("interpolate", small_release, (base, wrong), out), "missing_keys"),
        (command("interpolate", small_release, (tmp_path / "none", tuned), out), "no_such_file"),
        (command("interpolate", small_release, pair, out, alphas="1:0:0.1"), "bad_alphas"),
        (command("interpolate", small_release, pair, out, alphas="0.5"), "bad_alphas"),
        (command("interpolate", small_release, pair, out, alphas="0,x,1"), "bad_alphas"),
        (command("interpolate", small_release, pair, out, select_on="test"), "bad_splits"),
        (command("interpolate", small_release, pair, out, target="domain"), "target"),
        (command("interpolate", small_release, pair, out, target="domain=nowhere"), "target_matches_nothing"),
        (command("interpolate", small_release, pair, out, key=tmp_path), "no_key"),
        (command("interpolate", tmp_path, pair, out), "not_a_release"),
        (command("interpolate", small_release, pair, out, architecture="ViT-B-33"), "unknown_architecture"),
        (command("interpolate", small_release, pair, out, protocol="letter"), "protocol_not_supported"),
        (command("sweep", small_release, (wrong, tuned), out), "base_other_architecture"),
        ([*merge, "--part", str(base)], "merge_weights"),
        ([*merge, "--part", f"{base}=0.5", "--part", f"{tuned}=0.6"], "merge_weights"),
        ([*merge, "--part", f"{base}=0.5", "--part", str(tuned)], "merge_weights"),
        ([*merge, "--part", f"{base}=0.5", "--part", f"{tuned}=half"], "merge_weights"),
        ([*merge, "--part", f"{base}=0.5", "--part", f"{tmp_path / 'none'}=0.5"], "no_such_file"),
        ([*merge, "--part", str(wrong), "--part", str(tuned)], "part_other_architecture"),
        ([*merge[:-1], str(base), "--part", str(base), "--part", str(tuned)], "file_exists"),
        ([*merge[:-1], str(tmp_path / "no/file"), "--part", str(base), "--part", str(tuned)], "no_such_folder"),
    ]  # fmt: skip
    for argv, code in cases:
        if argv[0] == "interpolate" and f"--architecture={CONFIG}" in argv:
            with pytest.raises(SystemExit) as ended:  # its child has said why
                main(argv)
            assert ended.value.code == 2
            continue
        assert main(argv) == 2, argv
        said = capsys.readouterr().err
        assert f"{code}: " in said and "Traceback" not in said, (argv, said)
    assert not out.exists() and [path.name for path in tmp_path.iterdir()] == ["wrong.safetensors"]


def test_alphas_are_read_without_rounding_errors() -> None:
    assert parse_alphas("0:1:0.05") == tuple(round(number * 0.05, 2) for number in range(21))
    assert parse_alphas("0, 0.3,1") == (0.0, 0.3, 1.0)
    for text in ("", "0:1", "0:1:0", "0:1:-1", "0:1:1e-9", "a:b:c", "0:1:nan", "0:inf:1", "0.5:1:0.1"):
        with pytest.raises(InputError, match="bad_alphas"):
            parse_alphas(text)


@pytest.mark.parametrize("name", ["sweep", "interpolate", "merge"])
def test_help_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0 and f"example:\n  python -m evaluator {name}" in capsys.readouterr().out
