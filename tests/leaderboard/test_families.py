"""Every family of models end to end on the demo's benchmark: weights, answers, report, board; each against its library,
one image and one question at a time."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from PIL import Image
from safetensors.torch import load_file

from demo.generate.__main__ import generate
from demo.generate.plan import source_rules
from evaluator.answers import Protocol, read_answers
from evaluator.architectures.folders import ENVIRONMENT
from evaluator.encoders.choices import Device
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split
from evaluator.sandbox import spare
from leaderboard import storage, submissions
from leaderboard.boards.snapshots import get_board
from leaderboard.intake import NewSubmission
from leaderboard.models import Evaluation, Release
from leaderboard.models.submissions import SubmissionKind
from leaderboard.queue import Queue
from leaderboard.states import EvaluationState
from leaderboard.uploads import received_from
from leaderboard.workers.drain import drain
from tests.builders import detectors, families, generators
from tests.builders.leaderboard import make_user
from tests.builders.system import tiny_weights
from tests.builders.weights import TINY
from tests.evaluator.answering import slow_generate, slow_loop
from tests.evaluator.answering.slow_loop import option_texts
from tests.evaluator.detectors import slow_loop as slow_detector
from tests.evaluator.encoders.references import reference

IMAGES = 48
SAMPLE = 11  # every so many rows are compared
CONTRASTIVE = (TINY, *families.FAMILIES)
GENERATIVE = (generators.LLAVA, generators.LLAVA_CHAT, generators.QWEN)


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The release that every model answered, the organisers' folders, and the weights of each model."""

    release: Release
    root: Path
    weights: dict[str, Path]


@pytest.fixture(scope="module")
def placed(tmp_path_factory, django_db_setup, django_db_blocker, services):
    """All models submitted to one small release of the demo's benchmark, and their work done."""
    folder = tmp_path_factory.mktemp("all-families")
    generate(folder / "hub", n_images=IMAGES, n_shards=1)
    weights = {TINY: tiny_weights(), **families.contrastive_folders(folder)}
    weights |= detectors.detector_folders(folder)
    root = folder / families.ARCHITECTURES
    for place in (folder / "registry").iterdir():
        place.rename(root / place.name)
    weights |= (made := generators.generative_folders(folder / "generators"))
    for name, path in made.items():
        shutil.copytree(path.parent, root / name, ignore=shutil.ignore_patterns("*.safetensors"))
        described = {"family": "generative", "library": "transformers", "image_px": 32}
        described["parameters"] = n_parameters(path)
        (root / name / "architecture.json").write_text(json.dumps(described))
    with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock():
        patch.setenv(ENVIRONMENT, str(root))
        rules = [f"{dataset}={rule}" for dataset, rule in source_rules().items()]
        call_command("import_release", str(folder / "hub"), slug="all", splits="test=1.0", source=rules, verbosity=0)
        release, owner = Release.objects.get(slug="all"), make_user()
        for name, path in weights.items():
            new = NewSubmission(
                release=release, model=name.lower(), kind=SubmissionKind.CHECKPOINT, files=(received_from(path),),
                architecture=name, publish=True,
            )  # fmt: skip
            submissions.submit(owner, new)
        spare.keep(Device.CPU)
        for queue in Queue:
            drain(queue)
        spare.discard()
        yield Placed(release=release, root=root, weights=weights)
        call_command("flush", interactive=False, verbosity=0)
        shutil.rmtree(storage.release_folder(release))
        shutil.rmtree(storage.key_root())


def n_parameters(path: Path) -> int:
    return sum(tensor.numel() for tensor in load_file(path).values())


def answered(placed: Placed, name: str) -> tuple[Evaluation, list[dict[str, Any]], list[dict[str, Any]]]:
    """The evaluation, a sample of its answers, and the questions that these answer."""
    evaluation = Evaluation.objects.get(submission__architecture=name)
    assert evaluation.state == EvaluationState.SCORED, (evaluation.failure_code, evaluation.failure_message)
    with storage.local_path(evaluation.answers_sha256) as path:
        answers = read_answers(path)
    questions = {place(row): row for row in read_questions(folder_of(placed), Split.TEST).to_pylist()}
    rows = answers.to_pylist()[::SAMPLE]
    return evaluation, rows, [questions[place(row)] for row in rows]


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["dataset"], row["image_id"], row["question"], row["variant"]


def folder_of(placed: Placed) -> Path:
    return storage.release_folder(placed.release)


def image_of(placed: Placed) -> Callable[[dict[str, Any]], Path]:
    items = read_items(folder_of(placed), Split.TEST).to_pylist()
    files = {(item["dataset"], item["image_id"]): folder_of(placed) / item["file"] for item in items}
    return lambda row: files[row["dataset"], row["image_id"]]


def opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


@pytest.mark.django_db
@pytest.mark.parametrize("name", CONTRASTIVE)
def test_contrastive_model_reaches_the_board_with_the_answers_of_its_library(placed, name):
    evaluation, answers, questions = answered(placed, name)
    assert evaluation.protocol == Protocol.CAPTIONS and evaluation.embeddings_sha256
    path_of, clear = image_of(placed), 0
    if name == TINY:
        loaded = slow_loop.load(placed.weights[name])
        expected = [slow_loop.answer_one(*loaded, path_of(row), option_texts(row)) for row in questions]
    else:
        score = reference(placed.root / name, placed.weights[name])
        expected = [[score(opened(path_of(row)), text) for text in option_texts(row)] for row in questions]
    for found, scores in zip(answers, expected, strict=True):
        np.testing.assert_allclose(found["scores"], scores, rtol=0, atol=1e-5)
        second, first = np.sort(scores)[-2:]
        if first - second > 1e-5:
            clear += 1
            assert found["chosen"] == int(np.argmax(scores))
    assert clear > len(questions) / 2
    assert rank_of(placed, "overall", name) and rank_of(placed, "cognition", name)


@pytest.mark.django_db
@pytest.mark.parametrize("name", GENERATIVE)
def test_generative_model_reaches_the_board_with_the_replies_of_its_library(placed, name):
    evaluation, answers, questions = answered(placed, name)
    assert evaluation.protocol == Protocol.QUESTIONS and not evaluation.embeddings_sha256
    slow = slow_generate.SlowGenerator(placed.weights[name].parent)
    asked = slow_generate.asked(folder_of(placed), read_items(folder_of(placed), Split.TEST), questions)
    for found, (image, prompt) in zip(answers, asked, strict=True):
        assert found["text"] == slow.reply(image, prompt, max_new_tokens=32)
    assert evaluation.run["counts"]["unparsed_replies"] >= 0
    assert rank_of(placed, "overall", name) and rank_of(placed, "cognition", name)


@pytest.mark.django_db
@pytest.mark.parametrize("name", detectors.NAMES)
def test_detector_reaches_the_localisation_boards_with_the_boxes_of_its_library(placed, name):
    evaluation, answers, questions = answered(placed, name)
    assert evaluation.protocol == Protocol.BOXES
    model, processor = slow_detector.load(placed.root / name, placed.weights[name])
    path_of, seen = image_of(placed), 0
    for found, row in zip(answers, questions, strict=True):
        expected = slow_detector.find(model, processor, opened(path_of(row)), row["options"])
        assert [box["class"] for box in found["boxes"]] == [box["class"] for box in expected]
        for box, wanted in zip(found["boxes"], expected, strict=True):
            corners = [[one[corner] for corner in ("x1", "y1", "x2", "y2")] for one in (box, wanted)]
            np.testing.assert_allclose(corners[0], corners[1], rtol=0, atol=0.01)
        seen += len(expected)
    assert seen
    located = {row["dataset"] for row in read_questions(folder_of(placed), Split.TEST).to_pylist()
               if row["question"] == "localisation"}  # fmt: skip
    assert located and all(rank_of(placed, f"localisation-{dataset}", name) for dataset in located)
    assert rank_of(placed, "overall", name) is None


def rank_of(placed: Placed, board: str, name: str) -> int | None:
    rows = get_board(placed.release, Split.TEST, board).rows
    return next((row.rank for row in rows if row.model == name.lower()), None)
