"""Generative models: equal to transformers' own loop one question at a time, whatever stands beside it in the batch."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from evaluator.answering.answered import Answered
from evaluator.answering.families import generative
from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import Progress, Stage, StageClock
from evaluator.answering.questions import Asked, ask, default_protocol, require_protocol
from evaluator.answering.run import Run, answer_release
from evaluator.answering.settings import BatchSizes, RunSettings
from evaluator.answers import ANSWERS, ROW_ID, Protocol
from evaluator.architectures.architecture import Architecture, Family
from evaluator.cli import main
from evaluator.encoders.choices import Device
from evaluator.errors import EvaluationFailed, InputError
from evaluator.generators.generator import AskedImage, Reply
from evaluator.pixels.files import PackedImages
from evaluator.predictions.replies import parse_reply
from evaluator.release.importer import import_hub
from evaluator.release.prompts import render_prompt
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import QUESTIONS, Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.generators import LLAVA, LLAVA_CHAT, QWEN, generative_architecture, generative_folders
from tests.builders.hub import hub_row, write_hub
from tests.builders.weights import write_state
from tests.evaluator.answering.slow_generate import SlowGenerator, asked

IMAGES = 11
NAMES = (LLAVA, LLAVA_CHAT, QWEN)


def settings(protocol: Protocol, items: int = 4) -> RunSettings:
    sizes = BatchSizes(images=1, texts=1, items=items)
    return RunSettings(protocol=protocol, device=Device.CPU, sizes=sizes, max_new_tokens=24)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return generative_folders(tmp_path_factory.mktemp("generators"))


@pytest.fixture(scope="module")
def shapes_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of eleven shapes, so that models with grids of patches see prefixes of several lengths."""
    folder = tmp_path_factory.mktemp("shapes")
    rng = np.random.default_rng(5)
    rows = []
    for i in range(IMAGES):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (12 + 3 * i, 48 - 3 * i, 3), dtype=np.uint8)).save(file, "PNG")
        image = {"bytes": file.getvalue(), "path": f"{i}.png"}
        rows.append(hub_row(f"img_{i:05d}", ("cells_a", "cells_b")[i % 2], i % 3, image=image))
    write_hub(folder / "hub", rows)
    import_hub(folder / "hub", folder / "release", name="Shapes", version="1.0", splits={Split.TEST: 1.0},
               id_secret=b"s" * 32)  # fmt: skip
    return folder / "release"


def run(
    release: Path, weights: Path, chosen: RunSettings, architecture: Architecture | None = None, **how: Any
) -> Run:  # fmt: skip
    with open_checkpoint(weights) as file:
        architecture = architecture or generative_architecture(weights.parent)
        return answer_release(release, Split.TEST, file, architecture, chosen, **how)


def question_rows(release: Path) -> list[dict[str, Any]]:
    return [row for row in read_questions(release, Split.TEST).to_pylist() if row["variant"] is None]


@pytest.mark.parametrize("name", NAMES)
def test_replies_equal_the_slow_loop(name: str, folders: dict[str, Path], shapes_release: Path) -> None:
    done = run(shapes_release, folders[name], settings(Protocol.QUESTIONS))
    rows = question_rows(shapes_release)
    assert done.answers.select(ROW_ID).to_pylist() == [{name: row[name] for name in ROW_ID} for row in rows]
    slow = SlowGenerator(folders[name].parent)
    pairs = asked(shapes_release, read_items(shapes_release, Split.TEST), rows)
    replies = [slow.reply(image, prompt, 24) for image, prompt in pairs]
    assert done.answers["text"].to_pylist() == replies
    assert len(set(replies)) > len(rows) / 3, "the model says something"
    parsed = [parse_reply(reply, row["options"]) for reply, row in zip(replies, rows, strict=True)]
    assert done.answers["chosen"].to_pylist() == [-1 if option is None else option for option in parsed]
    assert done.answers["scores"].null_count == done.answers["boxes"].null_count == len(rows)
    assert done.record["counts"]["unparsed_replies"] == parsed.count(None)
    assert 0 < done.record["counts"]["unfinished_replies"] < len(rows)
    assert done.record["max_new_tokens"] == 24 and done.record["images_per_s"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_letter_scores_equal_a_whole_forward_per_question(
    name: str, folders: dict[str, Path], shapes_release: Path
) -> None:
    answers = run(shapes_release, folders[name], settings(Protocol.LETTER)).answers
    rows = question_rows(shapes_release)
    slow = SlowGenerator(folders[name].parent)
    pairs = asked(shapes_release, read_items(shapes_release, Split.TEST), rows)
    clear = 0
    for (image, prompt), row, found in zip(pairs, rows, answers.to_pylist(), strict=True):
        expected = slow.letters(image, prompt, len(row["options"]))
        np.testing.assert_allclose(found["scores"], expected, rtol=0, atol=1e-4)
        second, first = np.sort(expected)[-2:]
        if first - second > 1e-4:
            clear += 1
            assert found["chosen"] == int(np.argmax(expected))
        assert found["text"] is None and found["truncated"] is False
    assert clear > len(rows) / 2
    assert answers.schema == ANSWERS


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_beside_an_item_changes_nothing(name: str, folders: dict[str, Path], shapes_release: Path) -> None:
    alone, together = (run(shapes_release, folders[name], settings(Protocol.QUESTIONS, items)) for items in (1, IMAGES))
    assert alone.answers.equals(together.answers)
    assert {**alone.record["counts"], "item_batch": 0} == {**together.record["counts"], "item_batch": 0}
    alone, together = (run(shapes_release, folders[name], settings(Protocol.LETTER, items)) for items in (1, IMAGES))
    scores = [np.array(some.answers["scores"].combine_chunks().flatten()) for some in (alone, together)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-4)


def test_each_image_goes_through_the_model_once(
    folders: dict[str, Path], shapes_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import CLIPVisionModel

    seen: list[int] = []
    forward = CLIPVisionModel.forward
    monkeypatch.setattr(
        CLIPVisionModel, "forward",
        lambda self, pixel_values, **how: (seen.append(len(pixel_values)), forward(self, pixel_values, **how))[1],
    )  # fmt: skip
    answers = run(shapes_release, folders[LLAVA], settings(Protocol.QUESTIONS)).answers
    assert sum(seen) == IMAGES < answers.num_rows
    assert len(seen) == 3  # batches of 4


@pytest.mark.parametrize("protocol", [Protocol.QUESTIONS, Protocol.LETTER])
def test_a_run_resumes_after_any_part(
    protocol: Protocol, folders: dict[str, Path], shapes_release: Path
) -> None:  # fmt: skip
    parts: list[Part] = []
    whole = run(shapes_release, folders[QWEN], settings(protocol), resume=Resume(on_part=parts.append))
    assert [(part.start, part.stop) for part in parts] == [(0, 4), (4, 8), (8, 11)]
    for k in range(1, len(parts) + 1):
        new: list[Part] = []
        resumed = run(
            shapes_release, folders[QWEN], settings(protocol), resume=Resume(done=tuple(parts[:k]), on_part=new.append)
        )
        assert resumed.answers.equals(whole.answers)
        assert resumed.record["counts"] == {**whole.record["counts"]}
        assert [part.start for part in new] == [part.start for part in parts[k:]]


class Scripted:
    """A Generator that says what it is told: replies or scores by prompt."""

    def __init__(self, said: dict[str, Any], most: int = 1_000) -> None:
        self.said, self.most, self.batches = said, most, []

    def reply(self, asked: Sequence[AskedImage], max_new_tokens: int) -> list[list[Reply | None]]:
        return self._say(asked)

    def score_letters(self, asked: Sequence[AskedImage]) -> list[list[NDArray[np.float32] | None]]:
        return self._say(asked)

    def _say(self, asked: Sequence[AskedImage]) -> list[list[Any]]:
        if len(asked) > self.most:
            raise torch.OutOfMemoryError
        self.batches.append(len(asked))
        return [[self.said[prompt] for prompt in one.prompts] for one in asked]


def questions_table(options: Sequence[str], n: int, items: Sequence[int] | None = None) -> pa.Table:
    """`n` questions, about one item each or the places given."""
    return pa.Table.from_pylist([
        {"dataset": "d", "image_id": str(i if items is None else items[i]), "question": f"q{i:03}", "variant": None,
         "text": f"Question {i}?", "options": list(options)} for i in range(n)
    ], schema=QUESTIONS)  # fmt: skip


def answer_scripted(
    tmp_path: Path, questions: pa.Table, n_items: int, generator: Scripted, chosen: RunSettings, **how: Any
) -> Answered:
    """The use case itself on white images."""
    png = io.BytesIO()
    Image.new("RGB", (4, 4), "white").save(png, "PNG")
    sizes = np.full(n_items, len(png.getvalue()))
    offsets = np.concatenate([[n_items, 0], np.cumsum(sizes)]).astype("<i8")
    path = tmp_path / "packed"
    path.write_bytes(offsets.tobytes() + png.getvalue() * n_items)
    items = pa.table({"dataset": ["d"] * n_items, "image_id": [str(i) for i in range(n_items)]})
    rows: Asked = ask(items, questions, chosen.protocol)
    with path.open("rb") as file:
        images = PackedImages(file, [str(i) for i in range(n_items)])
        clock = how.pop("clock", None) or StageClock(Family.GENERATIVE)
        assert chosen.sizes is not None
        return generative.answer(generator, images, rows, chosen, chosen.sizes, clock, how.pop("resume", Resume()))


def test_replies_are_parsed_counted_and_capped(tmp_path: Path) -> None:
    options = ["basophil", "neutrophil"]
    table = [
        ("A", True, 0), (" b.\n", True, 1), ("B) neutrophil", True, 1), ("A) basophil or B) neutrophil", True, -1),
        ("C", True, -1), ("", True, -1), ("The answer is neutrophil", False, -1),
        ("A) basophil" + " " * 5000, False, 0), (" " * 2000 + "A", True, -1),
    ]  # fmt: skip
    questions = questions_table(options, len(table) + 1)
    prompts = [render_prompt(f"Question {i}?", options) for i in range(len(table) + 1)]
    said: dict[str, Any] = {
        prompt: Reply(text=text, finished=finished)
        for prompt, (text, finished, _) in zip(prompts, table, strict=False)
    }  # fmt: skip
    said[prompts[-1]] = None
    done = answer_scripted(tmp_path, questions, len(table) + 1, Scripted(said), settings(Protocol.QUESTIONS))
    assert done.answers["chosen"].to_pylist() == [chosen for *_, chosen in table] + [-1]
    assert done.answers["text"].to_pylist() == [text[:1000] for text, *_ in table] + [None]
    assert done.answers["truncated"].to_pylist() == [False] * len(table) + [True]
    assert done.counts == {"truncated_texts": 1, "unparsed_replies": 5, "unfinished_replies": 2, "item_batch": 4}


def test_equally_likely_letters_are_a_tie(tmp_path: Path) -> None:
    questions = questions_table(["x", "y", "z"], 2)
    said = {
        render_prompt("Question 0?", ["x", "y", "z"]): np.array([-2.0, -1.0, -1.0], np.float32),
        render_prompt("Question 1?", ["x", "y", "z"]): np.array([-2.0, -1.0, -1.1], np.float32),
    }
    done = answer_scripted(tmp_path, questions, 2, Scripted(said), settings(Protocol.LETTER))
    assert done.answers["chosen"].to_pylist() == [-1, 1]
    np.testing.assert_allclose(done.answers["scores"].to_pylist(), [*said.values()])


def test_rows_keep_their_order_though_items_are_answered_in_theirs(tmp_path: Path) -> None:
    places = [2, 0, 2, 4, 0]  # nothing is asked of 1 and 3
    questions = questions_table(["x", "y"], 5, places)
    prompts = [render_prompt(f"Question {i}?", ["x", "y"]) for i in range(5)]
    generator = Scripted({prompt: Reply(text="AB"[i % 2], finished=True) for i, prompt in enumerate(prompts)})
    done = answer_scripted(tmp_path, questions, 5, generator, settings(Protocol.QUESTIONS, items=2))
    assert done.answers.select(ROW_ID).equals(questions.select(ROW_ID))
    assert done.answers["chosen"].to_pylist() == [0, 1, 0, 1, 0]
    assert sum(generator.batches) == 3


def test_full_memory_halves_the_batch_and_loses_nothing(tmp_path: Path) -> None:
    seen: list[Progress] = []
    questions = questions_table(["x", "y"], 9)
    prompts = [render_prompt(f"Question {i}?", ["x", "y"]) for i in range(9)]
    generator = Scripted({prompt: Reply(text="B", finished=True) for prompt in prompts}, most=2)
    done = answer_scripted(
        tmp_path, questions, 9, generator, settings(Protocol.QUESTIONS, items=8),
        clock=StageClock(Family.GENERATIVE, seen.append),
    )  # fmt: skip
    assert done.answers["chosen"].to_pylist() == [1] * 9
    assert generator.batches == [2, 2, 2, 2, 1] and done.counts["item_batch"] == 2
    assert [(report.stage, report.done) for report in seen][-1] == (Stage.REPLIES, 9)


def test_more_options_than_letters_are_refused(tmp_path: Path) -> None:
    questions = questions_table([f"option {i}" for i in range(27)], 2)
    with pytest.raises(InputError) as refused:
        answer_scripted(tmp_path, questions, 2, Scripted({}), settings(Protocol.QUESTIONS))
    assert refused.value.counts == {"too_many_options": 1} and "2 questions" in refused.value.problems[0].message


@pytest.mark.parametrize("protocol", [Protocol.QUESTIONS, Protocol.LETTER])
def test_a_prompt_beyond_the_context_is_not_asked(
    protocol: Protocol, folders: dict[str, Path], shapes_release: Path
) -> None:
    whole = run(shapes_release, folders[QWEN], settings(protocol)).answers.to_pylist()
    slow = SlowGenerator(folders[QWEN].parent)
    rows = question_rows(shapes_release)
    pairs = asked(shapes_release, read_items(shapes_release, Split.TEST), rows)
    lengths = [slow.inputs(*pair)["input_ids"].shape[1] for pair in pairs]
    context = int(np.median(lengths))
    tight = generative_architecture(folders[QWEN].parent, context_length=context)
    done = run(shapes_release, folders[QWEN], settings(protocol), tight)
    fits = [length < context for length in lengths]
    assert 0 < sum(fits) < len(fits) and done.record["counts"]["truncated_texts"] == fits.count(False)
    for found, before, fit, length in zip(done.answers.to_pylist(), whole, fits, lengths, strict=True):
        if not fit:
            assert found["truncated"] and found["chosen"] == -1 and found["text"] is None and found["scores"] is None
        elif protocol is Protocol.LETTER:
            np.testing.assert_allclose(found["scores"], before["scores"], rtol=0, atol=1e-4)
        else:  # the reply ends where the context does
            assert before["text"].startswith(found["text"].rstrip("�"))
            assert context - length < 24 or found["text"] == before["text"]
    with pytest.raises(EvaluationFailed) as failed:
        run(shapes_release, folders[QWEN], settings(protocol), replace(tight, context_length=20))
    assert failed.value.code == "prompts_too_long" and not failed.value.retry


def test_a_model_that_overflows_ends_the_run(folders: dict[str, Path], shapes_release: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    state = load_file(folders[LLAVA])
    state["language_model.model.norm.weight"] *= 3e38
    weights = write_state(state, tmp_path / "model.safetensors")
    architecture = generative_architecture(folders[LLAVA].parent)
    for protocol in (Protocol.QUESTIONS, Protocol.LETTER):
        with pytest.raises(EvaluationFailed) as failed:
            run(shapes_release, weights, settings(protocol), architecture)
        assert failed.value.code == "non_finite_output" and not failed.value.retry


def test_protocols_of_generative_models() -> None:
    assert default_protocol(Family.GENERATIVE) is Protocol.QUESTIONS
    assert default_protocol(Family.CONTRASTIVE) is Protocol.CAPTIONS
    with pytest.raises(InputError) as refused:
        require_protocol(Protocol.CAPTIONS, Family.GENERATIVE)
    (problem,) = refused.value.problems
    assert problem.code == "protocol_not_supported" and problem.message == (
        "A generative model writes answers to questions; it compares no image with captions, so the protocol "
        "'captions' does not apply. Use questions or letter."
    )


def test_the_command_asks_generative_models_questions_and_says_what_went_wrong(
    folders: dict[str, Path], shapes_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    architecture = generative_architecture(folders[LLAVA].parent)
    monkeypatch.setattr("evaluator.cli.answer.find_architecture", lambda name: architecture)
    arguments = ["--release", str(shapes_release), "--split", "test", "--weights", str(folders[LLAVA])]
    command = ["answer", *arguments, "--architecture", LLAVA, "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["protocol"] == "questions" and record["max_new_tokens"] == 32
    assert not (tmp_path / "out" / "embeddings.npz").exists()
    shown = capsys.readouterr().out
    assert f"{record['counts']['unparsed_replies']} replies name no option" in shown
    assert "replies were cut off at the longest length" in shown
    assert main([*command, "--protocol", "captions"]) == 2
    assert "protocol_not_supported" in capsys.readouterr().err
