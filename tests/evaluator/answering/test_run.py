"""Answering a split: equal to the slow loop, each image and text once, and plain errors for what goes wrong."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from evaluator.answering.embeddings import read_embeddings
from evaluator.answering.families import contrastive
from evaluator.answering.parts import Part, Resume, without_gaps
from evaluator.answering.progress import STAGES, Progress, Stage, StageClock
from evaluator.answering.questions import ask
from evaluator.answering.run import Run, answer_release, write_run
from evaluator.answering.settings import BatchSizes, RunSettings
from evaluator.answers import ANSWERS, ROW_ID, Protocol, align, read_answers
from evaluator.architectures.architecture import Family
from evaluator.architectures.registry import get_architecture
from evaluator.encoders.choices import Device, Precision
from evaluator.encoders.loading import load_model, match_architecture
from evaluator.encoders.open_clip import OpenClipEncoder
from evaluator.errors import EvaluationFailed, InputError
from evaluator.pixels import files
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import QUESTIONS, Split
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.weights import TINY, tiny_state, write_state
from tests.evaluator.answering import slow_loop

ON_CPU = RunSettings(device=Device.CPU)


def run(release: Path, weights: Path, settings: RunSettings = ON_CPU, split: Split = Split.TEST, **options) -> Run:  # type: ignore[no-untyped-def]
    with open_checkpoint(weights) as file:
        return answer_release(release, split, file, get_architecture(TINY), settings, **options)


@pytest.fixture(scope="module")
def encoder(tiny_weights: Path) -> OpenClipEncoder:
    architecture = get_architecture(TINY)
    with open_checkpoint(tiny_weights) as file:
        return load_model(
            file, match_architecture(file, architecture), architecture, device=torch.device("cpu"),
            precision=Precision.FP32,
        )  # fmt: skip


@pytest.mark.parametrize("protocol", [Protocol.CAPTIONS, Protocol.QUESTIONS])
def test_answers_equal_the_slow_loop(small_release: Path, tiny_weights: Path, protocol: Protocol) -> None:
    settings = replace(ON_CPU, protocol=protocol, sizes=BatchSizes(images=7, texts=5))
    answers = run(small_release, tiny_weights, settings).answers
    questions = read_questions(small_release, Split.TEST).to_pylist()
    rows = [row for row in questions if (row["variant"] is None) == (protocol is Protocol.QUESTIONS)]
    assert answers.select(ROW_ID).to_pylist() == [{name: row[name] for name in ROW_ID} for row in rows]
    every_fifth = range(0, len(rows), 5)
    items = read_items(small_release, Split.TEST)
    expected = slow_loop.answer_all(tiny_weights, small_release, items, [rows[place] for place in every_fifth])
    compared = 0
    for place, scores in zip(every_fifth, expected, strict=True):
        found = answers.slice(place, 1).to_pylist()[0]
        np.testing.assert_allclose(found["scores"], scores, rtol=0, atol=1e-5)
        second, first = np.sort(scores)[-2:]
        if first - second > 1e-5:
            compared += 1
            assert found["chosen"] == int(np.argmax(scores))
    assert compared > len(every_fifth) / 2


def test_each_image_and_each_distinct_text_is_embedded_once(
    small_release: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, texts, decoded = [], [], []
    encode_images, encode_texts, read_image = (
        OpenClipEncoder.encode_images,
        OpenClipEncoder.encode_texts,
        files.read_image,
    )
    monkeypatch.setattr(
        OpenClipEncoder, "encode_images", lambda self, batch: (images.extend(batch), encode_images(self, batch))[1]
    )
    monkeypatch.setattr(
        OpenClipEncoder, "encode_texts", lambda self, batch: (texts.extend(batch), encode_texts(self, batch))[1]
    )
    monkeypatch.setattr(files, "read_image", lambda path: (decoded.append(path.name), read_image(path))[1])
    run(small_release, tiny_weights)
    items = read_items(small_release, Split.TEST)
    assert len(images) == items.num_rows
    assert sorted(decoded) == sorted(Path(file).name for file in items["file"].to_pylist())
    assert (
        len(texts) == len(set(texts)) < sum(map(len, read_questions(small_release, Split.TEST)["options"].to_pylist()))
    )


def test_run_folder_is_complete_and_the_same_every_time(
    small_release: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        write_run(run(small_release, tiny_weights), tmp_path / name)
    assert (tmp_path / "a/answers.parquet").read_bytes() == (tmp_path / "b/answers.parquet").read_bytes()
    answers, questions = read_answers(tmp_path / "a/answers.parquet"), read_questions(small_release, Split.TEST)
    assert align(answers, questions)["chosen"].null_count == questions["variant"].null_count
    embeddings = read_embeddings(tmp_path / "a/embeddings.npz")
    items = read_items(small_release, Split.TEST)
    assert embeddings["image_id"].tolist() == items["image_id"].to_pylist()
    assert embeddings["embedding"].shape == (items.num_rows, 64) and embeddings["embedding"].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings["embedding"], axis=1), 1, rtol=1e-5)
    record = json.loads((tmp_path / "a/run.json").read_text())
    assert record["protocol"] == "captions" and record["precision"] == "fp32" and record["official_precision"]
    assert record["counts"]["images"] == items.num_rows and record["sandbox"] == "none"
    assert {"torch", "open_clip_torch", "evaluator"} <= record["versions"].keys()
    assert record["weights"]["tolerated"] == []


def test_bf16_run_is_marked_and_close(small_release: Path, tiny_weights: Path) -> None:
    exact, rough = (
        run(small_release, tiny_weights),
        run(small_release, tiny_weights, replace(ON_CPU, precision=Precision.BF16)),
    )
    assert not rough.record["official_precision"]
    difference = np.abs(exact.embeddings["embedding"] - rough.embeddings["embedding"]).max()
    assert 0 < difference < 0.05


def test_tolerated_keys_are_recorded_and_change_nothing(
    small_release: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    wrapped = {f"module.{name}": tensor.half() for name, tensor in tiny_state(seed=1).items()}
    same = run(small_release, write_state(wrapped, tmp_path / "wrapped.safetensors"))
    assert [use["tolerance"] for use in same.record["weights"]["tolerated"]] == ["module_prefix"]
    assert same.answers.equals(run(small_release, tiny_weights).answers)


def test_progress_names_every_stage_and_ends_complete(small_release: Path, tiny_weights: Path) -> None:
    seen: list[Progress] = []
    run(small_release, tiny_weights, replace(ON_CPU, sizes=BatchSizes(images=5, texts=4)), on_progress=seen.append)
    assert list(dict.fromkeys(progress.stage for progress in seen)) == list(STAGES[Family.CONTRASTIVE])
    images = [progress for progress in seen if progress.stage is Stage.IMAGES]
    assert images[-1].done == images[-1].total == read_items(small_release, Split.TEST).num_rows
    assert images[-1].images_per_s and images[-1].eta_s == 0
    assert (images[0].step, images[0].steps) == (4, 5)


def test_long_text_is_cut_counted_and_marked(small_release: Path, encoder: OpenClipEncoder) -> None:
    items = read_items(small_release, Split.TEST).slice(0, 2)
    ids = items.select(["dataset", "image_id"]).to_pylist()
    long = "a very long caption of a micrograph " * 20
    rows = [{**ids[0], "question": "stain", "variant": 1, "text": "?", "options": ["short", long]},
            {**ids[1], "question": "stain", "variant": 1, "text": "?", "options": ["short", "shorter"]}]  # fmt: skip
    asked = ask(items, pa.Table.from_pylist(rows, QUESTIONS), Protocol.CAPTIONS)
    crops = np.zeros((2, 64, 64, 3), np.uint8)
    clock = StageClock(Family.CONTRASTIVE)
    answered = contrastive.answer(encoder, crops, asked, BatchSizes(images=2, texts=8), clock, Resume())
    assert answered.counts["truncated_texts"] == 1
    assert answered.answers["truncated"].to_pylist() == [True, False]
    assert answered.answers.schema == ANSWERS


def test_letter_likelihood_is_refused_for_this_family(small_release: Path, tiny_weights: Path) -> None:
    with pytest.raises(InputError, match="protocol_not_supported"):
        run(small_release, tiny_weights, replace(ON_CPU, protocol=Protocol.LETTER))


def test_protocol_without_rows_is_refused(small_release: Path) -> None:
    questions = read_questions(small_release, Split.TEST)
    without = questions.filter(pa.compute.is_null(questions["variant"]))
    with pytest.raises(InputError, match="nothing_to_ask"):
        ask(read_items(small_release, Split.TEST), without, Protocol.CAPTIONS)


def test_weights_other_than_the_validated_ones_are_not_loaded(small_release: Path, tiny_weights: Path) -> None:
    with pytest.raises(InputError, match="weights_changed"):
        run(small_release, tiny_weights, weights_sha256="0" * 64)


@pytest.mark.parametrize("tensor", ["visual.proj", "text_projection"])
def test_overflowing_model_fails_as_the_submitters(small_release: Path, tmp_path: Path, tensor: str) -> None:
    """Every weight is finite, so validation passes; the embeddings are not."""
    state = {name: value.clone() for name, value in tiny_state().items()}
    state[tensor] = torch.full_like(state[tensor], 3e38)
    with pytest.raises(EvaluationFailed) as failed:
        run(small_release, write_state(state, tmp_path / "a.safetensors"))
    assert failed.value.code == "non_finite_output" and not failed.value.retry


def test_constant_model_ties_everywhere_and_is_never_right(small_release: Path, tmp_path: Path) -> None:
    state = tiny_state()
    state["text_projection"] = torch.zeros_like(state["text_projection"])
    answers = run(small_release, write_state(state, tmp_path / "a.safetensors")).answers
    assert set(answers["chosen"].to_pylist()) == {-1}


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n broken", b"GIF89a", None])
def test_undecodable_image_of_a_release_is_named(
    small_release: Path, tiny_weights: Path, tmp_path: Path, content: bytes | None
) -> None:
    release = tmp_path / "release"
    shutil.copytree(small_release, release)
    image = release / read_items(release, Split.TEST)["file"][3].as_py()
    image.unlink() if content is None else image.write_bytes(content)
    with pytest.raises(EvaluationFailed) as failed:
        run(release, tiny_weights)
    assert failed.value.code == "unreadable_image" and image.name in failed.value.message


class Killed(Exception):
    """Stands for the end of the process in the middle of a run."""


@pytest.mark.parametrize("kept", [1, 3])
def test_a_killed_run_goes_on_after_its_last_whole_batch(
    small_release: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    settings = replace(ON_CPU, sizes=BatchSizes(images=5, texts=64))
    parts: list[Part] = []

    def keep(part: Part) -> None:
        if len(parts) == kept:
            raise Killed
        parts.append(part)

    with pytest.raises(Killed):
        run(small_release, tiny_weights, settings, resume=Resume(on_part=keep))
    embedded: list[np.ndarray] = []
    encode_images = OpenClipEncoder.encode_images
    monkeypatch.setattr(
        OpenClipEncoder, "encode_images", lambda self, batch: (embedded.extend(batch), encode_images(self, batch))[1]
    )
    resumed = run(small_release, tiny_weights, settings, resume=Resume(done=without_gaps(parts)))
    whole = run(small_release, tiny_weights, settings)
    n_items = read_items(small_release, Split.TEST).num_rows
    assert len(embedded) == n_items - 5 * kept + n_items
    assert resumed.answers.equals(whole.answers)
    assert np.array_equal(resumed.embeddings["embedding"], whole.embeddings["embedding"])
    assert (resumed.record["resumed_at"], whole.record["resumed_at"]) == (5 * kept, None)


def test_parts_behind_a_gap_or_over_another_are_left_out() -> None:
    def part(start: int, stop: int) -> Part:
        return Part(start=start, stop=stop, content=b"")

    assert without_gaps([part(8, 12), part(0, 4), part(4, 8), part(2, 6), part(16, 20)]) == (
        part(0, 4), part(4, 8), part(8, 12),
    )  # fmt: skip
    assert without_gaps([part(4, 8)]) == () == without_gaps([part(0, 0)])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: tried"),
        MemoryError(),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_the_run_goes_on(
    small_release: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    whole = run(small_release, tiny_weights)
    encode_images, seen = OpenClipEncoder.encode_images, []

    def small_memory(self: OpenClipEncoder, batch: np.ndarray) -> torch.Tensor:
        if len(batch) > 4:
            raise error
        seen.append(len(batch))
        return encode_images(self, batch)

    monkeypatch.setattr(OpenClipEncoder, "encode_images", small_memory)
    halved = run(small_release, tiny_weights, replace(ON_CPU, sizes=BatchSizes(images=16, texts=64)))
    assert set(seen[:-1]) == {4} and halved.record["counts"]["image_batch"] == 4
    np.testing.assert_allclose(halved.embeddings["embedding"], whole.embeddings["embedding"], rtol=0, atol=1e-5)


def test_an_image_that_does_not_fit_alone_ends_the_run(
    small_release: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(self: OpenClipEncoder, batch: np.ndarray) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(OpenClipEncoder, "encode_images", no_memory)
    with pytest.raises(torch.OutOfMemoryError):
        run(small_release, tiny_weights)


def test_other_errors_are_no_reason_to_halve(
    small_release: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def broken(self: OpenClipEncoder, batch: np.ndarray) -> torch.Tensor:
        calls.append(len(batch))
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(OpenClipEncoder, "encode_images", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        run(small_release, tiny_weights)
    assert len(calls) == 1
