"""Answering localisation: equal to the slow loop with transformers' own processors, resumable, plain in its errors."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from evaluator.answering.parts import Part, Resume
from evaluator.answering.progress import Progress, Stage
from evaluator.answering.run import Run, answer_release
from evaluator.answering.settings import BatchSizes, RunSettings
from evaluator.answers import ANSWERS, ROW_ID, Protocol, align
from evaluator.architectures.folders import read_folder
from evaluator.encoders.choices import Device, Precision
from evaluator.errors import EvaluationFailed, InputError
from evaluator.release.importer import import_hub
from evaluator.release.key import read_key
from evaluator.release.read import read_info, read_items, read_questions
from evaluator.release.schema import Split
from evaluator.scoring import score
from evaluator.weights.checkpoint import open_checkpoint
from tests.builders.detectors import NAMES, detector_folders, random_state
from tests.builders.hub import hub_box, hub_row, write_hub
from tests.builders.weights import write_state
from tests.evaluator.detectors import slow_loop

ON_CPU = RunSettings(device=Device.CPU, protocol=Protocol.BOXES)
SIZES = ((40, 40), (70, 30), (25, 64), (48, 48), (13, 90))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets with boxes of other classes each and one without, and the detectors' folders."""
    folder = tmp_path_factory.mktemp("detection")
    rows = []
    for i in range(24):
        dataset, names = (("wbc", ["white blood cell", "round cell"]), ("cryo", ["mitochondria"]), ("none", []))[i % 3]
        boxes = [hub_box(name, 1, 1, 9, 8) for name in names if i % 2 or i < 3]
        rows.append(hub_row(f"img_{i:03d}", dataset, image={"bytes": _png(i), "path": None}, bbox=boxes))
    write_hub(folder / "hub", rows)
    import_hub(
        folder / "hub", folder / "release", name="Boxes", version="1.0", splits={Split.DEV: 1.0}, id_secret=b"s" * 32
    )  # fmt: skip
    detector_folders(folder)
    return folder


def _png(seed: int) -> bytes:
    width, height = SIZES[seed % len(SIZES)]
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def run(folder: Path, name: str = "tiny-owlv2", settings: RunSettings = ON_CPU, weights: Path | None = None,
        **how: Any) -> Run:  # fmt: skip
    architecture = read_folder(folder / "registry" / name)
    with open_checkpoint(weights or folder / f"{name}.safetensors") as file:
        return answer_release(folder / "release", Split.DEV, file, architecture, settings, **how)


@pytest.mark.parametrize("name", NAMES)
def test_answers_equal_the_slow_loop(folder: Path, name: str) -> None:
    answers = run(folder, name, replace(ON_CPU, sizes=BatchSizes(images=3, texts=1))).answers
    asked = [row for row in read_questions(folder / "release", Split.DEV).to_pylist()
             if row["question"] == "localisation"]  # fmt: skip
    assert answers.schema == ANSWERS and len(asked) == 16
    assert answers.select(ROW_ID).to_pylist() == [{name: row[name] for name in ROW_ID} for row in asked]
    model, processor = slow_loop.load(folder / "registry" / name, folder / f"{name}.safetensors")
    file_of = {item["image_id"]: item["file"] for item in read_items(folder / "release", Split.DEV).to_pylist()}
    n_boxes, n_classes = 0, set()
    for row, answer in zip(asked, answers.to_pylist(), strict=True):
        with Image.open(folder / "release" / file_of[row["image_id"]]) as image:
            expected = slow_loop.find(model, processor, image.convert("RGB"), row["options"])
        assert [box["score"] for box in answer["boxes"]] == sorted(
            (box["score"] for box in answer["boxes"]), reverse=True
        )
        for box, other in zip(sorted(answer["boxes"], key=_place), sorted(expected, key=_place), strict=True):
            assert box["class"] == other["class"]
            for side in ("x1", "y1", "x2", "y2"):
                assert box[side] == pytest.approx(other[side], abs=1e-3)
            assert box["score"] == pytest.approx(other["score"], abs=1e-5)
        assert (answer["chosen"], answer["scores"], answer["text"], answer["truncated"]) == (0, None, None, False)
        n_boxes += len(expected)
        n_classes |= {box["class"] for box in expected}
    assert n_boxes > 30 and n_classes == {"white blood cell", "round cell", "mitochondria"}


def _place(box: slow_loop.Box) -> tuple[float, ...]:
    """An order that does not hang on scores: the reference rounds the best of them to 1."""
    return tuple(round(box[side], 2) for side in ("x1", "y1", "x2", "y2"))


def test_each_image_asked_about_is_seen_once_and_each_list_of_classes_embedded_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evaluator.detectors.owl import OwlDetector

    seen: list[int] = []
    embedded: list[tuple[str, ...]] = []
    look, embed = OwlDetector.look, OwlDetector.embed_prompts
    monkeypatch.setattr(OwlDetector, "look", lambda *a: (seen.append(len(a[1])), look(*a))[1])
    monkeypatch.setattr(OwlDetector, "embed_prompts", lambda *a: (embedded.append(tuple(a[1])), embed(*a))[1])
    done = run(folder)
    assert sum(seen) == done.record["counts"]["looked_at"] == done.answers.num_rows == 16
    assert sorted(embedded) == [("mitochondria",), ("round cell", "white blood cell")]


def test_answers_can_be_scored(folder: Path) -> None:
    release, answers = folder / "release", run(folder).answers
    questions = read_questions(release, Split.DEV)
    assert align(answers, questions)["chosen"].null_count == questions.num_rows - 16
    report = score(
        read_info(release), Split.DEV, questions, read_key(release / "keys", Split.DEV), answers, protocol="boxes",
        key_revision=1,
    ).report  # fmt: skip
    marks = {task["task"]: task["accuracy"]["estimate"] for task in report["tasks"]}
    answered = {task: mark for task, mark in marks.items() if mark is not None}
    assert answered.keys() == {"localisation-wbc", "localisation-cryo"}
    assert all(0 <= mark < 0.9 for mark in answered.values()) and any(answered.values())


def test_record_says_how_boxes_were_chosen(folder: Path) -> None:
    done = run(folder, settings=replace(ON_CPU, sizes=BatchSizes(images=3, texts=1)))
    assert done.record["protocol"] == "boxes" and done.embeddings is None
    assert done.record["boxes"] == {"prompt": "{}", "score_above": 0.1, "overlap_above": 0.3, "at_most": 1000}
    assert done.record["counts"] == {
        "images": 24, "rows": 16, "looked_at": 16, "image_batch": 3, "truncated_texts": 0,
        "boxes": sum(len(boxes) for boxes in done.answers["boxes"].to_pylist()),
    }  # fmt: skip


def test_images_of_many_places_go_in_smaller_batches(folder: Path) -> None:
    """A detector at 960 pixels looks at 3,600 places: 64 such images at once would need gigabytes."""
    from evaluator.answering.families import detection

    class Fine:
        n_places, context_length, sizes = 3_600, 16, []

        def n_tokens(self, text: str) -> int:
            return 1

        def embed_prompts(self, prompts: list[str]) -> torch.Tensor:
            return torch.zeros(len(prompts), 1)

        def look(self, images: list[Any], queries: list[Any]) -> list[Any]:
            self.sizes.append(len(images))
            boxes = np.zeros((3_600, 4), np.float32)
            return [detection.Places(boxes=boxes, logits=np.zeros((3_600, len(q)), np.float32)) for q in queries]

    from evaluator.answering.families.localisation import ask_localisation
    from evaluator.answering.material import open_material
    from evaluator.answering.progress import StageClock
    from evaluator.architectures.architecture import Family
    from evaluator.pixels.cache import PixelCache

    architecture = read_folder(folder / "registry/tiny-owlv2")
    with open_material(folder / "release", Split.DEV, architecture, PixelCache()) as material:
        asked = ask_localisation(material.items, material.questions)
        sizes = BatchSizes(images=64, texts=1)
        answered = detection.answer(
            Fine(), material.images(), material.items, asked, sizes, StageClock(Family.DETECTOR), Resume()
        )  # fmt: skip
    assert Fine.sizes == [4, 4, 4, 4]
    assert answered.answers["boxes"].to_pylist() == [[]] * 16 and set(answered.answers["chosen"].to_pylist()) == {0}


@pytest.mark.parametrize("kept", [0, 1, 3, 6])
def test_resumed_run_equals_an_undisturbed_one(folder: Path, kept: int) -> None:
    settings = replace(ON_CPU, sizes=BatchSizes(images=3, texts=1))
    parts: list[Part] = []
    whole = run(folder, settings=settings, resume=Resume(on_part=parts.append)).answers
    assert len(parts) == 6 and parts[0].start == 0 and parts[-1].stop == 24
    assert all(part.stop == after.start for part, after in zip(parts, parts[1:], strict=False))
    new: list[Part] = []
    done = run(folder, settings=settings, resume=Resume(done=tuple(parts[:kept]), on_part=new.append))
    assert done.answers.equals(whole)
    assert [(part.start, part.stop) for part in new] == [(part.start, part.stop) for part in parts[kept:]]
    assert all(part.content == other.content for part, other in zip(new, parts[kept:], strict=True))


def test_progress_counts_the_images_looked_at(folder: Path) -> None:
    seen: list[Progress] = []
    run(folder, settings=replace(ON_CPU, sizes=BatchSizes(images=5, texts=1)), on_progress=seen.append)
    assert list(dict.fromkeys(progress.stage for progress in seen)) == [Stage.PIXELS, Stage.LOAD, Stage.BOXES]
    assert (seen[-1].done, seen[-1].total, seen[-1].step, seen[-1].steps) == (16, 16, 3, 3)
    assert seen[-1].images_per_s


def test_memory_that_runs_out_halves_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from evaluator.detectors.owl import OwlDetector

    look = OwlDetector.look

    def tight(self: Any, images: list[Image.Image], queries: list[torch.Tensor]) -> list[Any]:
        if len(images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return look(self, images, queries)

    expected = run(folder).answers
    monkeypatch.setattr(OwlDetector, "look", tight)
    done = run(folder)
    assert done.record["counts"]["image_batch"] == 4
    assert _rounded(done.answers) == _rounded(expected)


def _rounded(answers: pa.Table) -> list[list[tuple[Any, ...]]]:
    return [
        [tuple(round(value, 2) if isinstance(value, float) else value for value in box.values()) for box in boxes]
        for boxes in answers["boxes"].to_pylist()
    ]


@pytest.mark.parametrize("tensor", ["class_head.logit_shift.bias", "box_head.dense0.weight"])
def test_overflowing_model_fails_as_the_submitters(folder: Path, tmp_path: Path, tensor: str) -> None:
    state = random_state(read_folder(folder / "registry/tiny-owlv2"))
    state[tensor] = torch.full_like(state[tensor], 3e38)
    state["class_head.logit_scale.weight"] *= 100
    with pytest.raises(EvaluationFailed) as failed:
        run(folder, weights=write_state(state, tmp_path / "a.safetensors"))
    assert failed.value.code == "non_finite_output" and not failed.value.retry


def test_bf16_runs(folder: Path) -> None:
    done = run(folder, settings=replace(ON_CPU, precision=Precision.BF16))
    assert not done.record["official_precision"] and done.record["counts"]["boxes"] > 0


def test_other_protocols_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="protocol_not_supported.*draws boxes.*Use boxes"):
        run(folder, settings=RunSettings(device=Device.CPU))


def test_release_without_boxes_has_nothing_to_find(small_release: Path, folder: Path) -> None:
    architecture = read_folder(folder / "registry/tiny-owlv2")
    with open_checkpoint(folder / "tiny-owlv2.safetensors") as file, pytest.raises(InputError, match="nothing_to_ask"):
        answer_release(small_release, Split.TEST, file, architecture, ON_CPU)


def test_boxes_drawn_on_no_image_are_stretched_onto_each(folder: Path) -> None:
    """One grey square for all: what is drawn there depends on the list of classes and on nothing else of the item."""
    done = run(folder, blank_images=True)
    assert done.record["images"] == "blank"
    size = {item["image_id"]: (item["width"], item["height"])
            for item in read_items(folder / "release", Split.DEV).to_pylist()}  # fmt: skip
    assert len(set(size.values())) == len(SIZES)
    shares: dict[str, list[tuple[float, ...]]] = {}
    for answer in done.answers.to_pylist():
        width, height = size[answer["image_id"]]
        drawn = [(box["x1"] / width, box["y1"] / height, box["x2"] / width, box["y2"] / height)
                 for box in answer["boxes"]]  # fmt: skip
        assert drawn and np.max(drawn) <= 1 + 1e-6
        np.testing.assert_allclose(drawn, shares.setdefault(answer["dataset"], drawn), atol=1e-4)
    assert shares.keys() == {"wbc", "cryo"}
