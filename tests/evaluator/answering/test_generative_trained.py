"""A generative model that knows something, from its files to its report: the scores mean what they say."""

import json
from pathlib import Path

import pytest

from evaluator.answering.run import answer_release, write_run
from evaluator.answering.settings import RunSettings
from evaluator.answers import Protocol, read_answers
from evaluator.cli import main
from evaluator.encoders.choices import Device
from evaluator.release.importer import import_hub
from evaluator.release.schema import CLASSIFICATION, Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.generators import generative_architecture
from tests.builders.hub import write_hub
from tests.builders.trained import STAIN_REPLY, grey_rows, write_trained

IMAGES = 36


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of grey images and a model that was trained on others like them."""
    root = tmp_path_factory.mktemp("trained")
    write_hub(root / "hub", grey_rows(IMAGES))
    import_hub(root / "hub", root / "release", name="Greys", version="1.0", splits={Split.TEST: 1.0},
               id_secret=b"s" * 32)  # fmt: skip
    write_trained(root / "model")
    return root


def answer_and_score(folder: Path, protocol: Protocol) -> dict[str, dict[str, float]]:
    """Accuracy by task, strictly and by the paper's rule."""
    settings = RunSettings(protocol=protocol, device=Device.CPU)
    out = folder / protocol
    with open_checkpoint(folder / "model" / "model.safetensors") as file:
        architecture = generative_architecture(folder / "model")
        write_run(answer_release(folder / "release", Split.TEST, file, architecture, settings), out)
    arguments = ["--release", str(folder / "release"), "--split", "test", "--answers", str(out / "answers.parquet")]
    assert main(["score", *arguments, "--out", str(out / "report.json")]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["protocol"] == protocol
    paper = report.get("paper_rule") or {"tasks": []}
    return {
        "strict": {task["task"]: task["accuracy"]["estimate"] for task in report["tasks"]},
        "paper": {task["task"]: task["accuracy"] for task in paper["tasks"]},
    }


def test_what_it_learnt_is_what_the_report_says(folder: Path) -> None:
    found = answer_and_score(folder, Protocol.QUESTIONS)
    answers = read_answers(folder / Protocol.QUESTIONS / "answers.parquet").to_pylist()
    said = {kind: {row["text"] for row in answers if row["question"] == kind} for kind in ("modality", "stain")}
    assert said == {"modality": {"B) fluorescence microscopy"}, "stain": {STAIN_REPLY}}
    assert found["strict"]["greys"] == found["paper"]["greys"] >= 0.95
    assert found["strict"]["coarse-stain"] == found["paper"]["coarse-stain"] == 0
    assert {row["text"] for row in answers if row["question"] == CLASSIFICATION} == {"A", "B", "C"}
    record = json.loads((folder / Protocol.QUESTIONS / "run.json").read_text())
    assert record["counts"]["unparsed_replies"] >= IMAGES  # every stain
    assert {row["chosen"] for row in answers if row["question"] == "stain"} == {-1}
    assert {row["chosen"] for row in answers if row["question"] == "modality"} == {1}


def test_letters_know_it_too(folder: Path) -> None:
    found = answer_and_score(folder, Protocol.LETTER)
    assert found["strict"]["greys"] >= 0.95 and not found["paper"]
    answers = read_answers(folder / Protocol.LETTER / "answers.parquet").to_pylist()
    assert all(row["text"] is None and len(row["scores"]) >= 3 for row in answers)
    assert max(max(row["scores"]) for row in answers if row["question"] == CLASSIFICATION) > -0.1
