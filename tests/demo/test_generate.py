"""The generated benchmark: what it writes is what the Hub's readers expect, and the same every time."""

import io
import json
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from demo.generate.__main__ import generate
from demo.generate.catalogue import DATASETS
from demo.generate.cognition import COGNITION_KINDS
from demo.generate.hub import FOLDER
from demo.generate.plan import FIRST_TRAINING_SEED, draw, plan_images, source_rules
from demo.generate.questions import COARSE_KINDS, KINDS, NONE_OF_THE_ABOVE
from evaluator.release.importer import import_hub
from evaluator.release.read import read_items, read_questions
from evaluator.release.schema import Split

N_IMAGES = 180
# The row schema of µ-Bench on the Hub, in its order.
HUB_COLUMNS = (
    "image_id image label label_name dataset domain institution license microns_per_pixel modality ncbitaxon_id "
    "ncbitaxon_name pmid split stain subdomain submodality synthetic captions questions bbox polygon"
).split()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hub")
    generate(out, n_images=N_IMAGES, seed=7)
    return out


@pytest.fixture(scope="module")
def rows(hub: Path) -> list[dict]:
    shards = sorted((hub / FOLDER).glob("*.arrow"))
    return [row for shard in shards for row in pa.ipc.open_stream(shard.read_bytes()).read_all().to_pylist()]


def test_the_hubs_library_reads_every_shard_with_its_features(hub: Path) -> None:
    stated = json.loads((hub / FOLDER / "dataset_info.json").read_text())["features"]
    assert list(stated) == HUB_COLUMNS
    names = sorted(path.name for path in (hub / FOLDER).glob("*.arrow"))
    assert names == ["ubench-test-00000-of-00002.arrow", "ubench-test-00001-of-00002.arrow"]
    for name in names:
        table = datasets.Dataset.from_file(str(hub / FOLDER / name))
        assert table.features == datasets.Features.from_dict(stated)
        assert isinstance(table.features["label"], datasets.ClassLabel)
        assert isinstance(table[0]["image"], Image.Image)
        assert table.features["label"].int2str(table[0]["label"]) == table[0]["label_name"]


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_processes(hub: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", n_images=N_IMAGES, seed=7, processes=2)
    for shard in (hub / FOLDER).iterdir():
        assert shard.read_bytes() == (tmp_path / "again" / FOLDER / shard.name).read_bytes(), shard.name


def test_another_seed_gives_other_images() -> None:
    for first, second in zip(plan_images(30, 1), plan_images(30, 2), strict=True):
        one, other = draw(first).image, draw(second).image
        assert one.shape != other.shape or (one != other).mean() > 0.2, first.dataset


def test_questions_have_a_right_answer_that_stands_anywhere_but_last(rows: list[dict]) -> None:
    places: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        for kind in KINDS:
            question = row["questions"][kind]
            fact = row["label_name"] if kind == "classification" else row[kind]
            if fact is None:
                assert question is None and row["captions"][f"{kind}_0"] is None
                continue
            options, answer = question["options"], question["answer_idx"]
            assert options[-1] == NONE_OF_THE_ABOVE and len(set(options)) == len(options) >= 4
            assert options[answer] == question["answer"] == fact
            places[kind].add(answer)
            for variant in (0, 1):
                caption = row["captions"][f"{kind}_{variant}"]
                assert caption["answer_idx"] == answer and caption["options"][answer] == caption["answer"]
                assert len(set(caption["options"])) == len(options)
    assert all(len(found) >= 3 for found in places.values())


def test_options_of_one_question_differ_from_image_to_image(rows: list[dict]) -> None:
    offered = {tuple(sorted(row["questions"]["stain"]["options"])) for row in rows if row["stain"]}
    assert len(offered) > 20


def test_the_benchmark_spans_modalities_classes_nulls_and_boxes(rows: list[dict]) -> None:
    assert len(rows) == N_IMAGES
    assert len({(row["dataset"], row["image_id"]) for row in rows}) == N_IMAGES
    assert {row["modality"] for row in rows} == {
        "light microscopy", "fluorescence microscopy", "electron microscopy",
    }  # fmt: skip
    assert len({row["dataset"] for row in rows}) == len(DATASETS) >= 8
    labels = defaultdict(Counter)
    for row in rows:
        labels[row["dataset"]][row["label_name"]] += 1
    for dataset in DATASETS:
        assert set(labels[dataset.name]) == set(dataset.classes)
        assert max(labels[dataset.name].values()) - min(labels[dataset.name].values()) <= 1
    assert {row["dataset"] for row in rows if row["stain"] is None} >= {"yeast_growth"}
    assert {row["dataset"] for row in rows if row["bbox"]} == {"nuclei_density", "mitochondria_sbfsem"}
    assert all(len({row[kind] for row in rows}) > 1 for kind in COARSE_KINDS)


def test_images_are_small_and_boxes_lie_on_them(rows: list[dict]) -> None:
    for row in rows:
        image = Image.open(io.BytesIO(row["image"]["bytes"]))
        assert 64 <= image.width == image.height <= 128
        assert np.asarray(image).std() > 3, row["image_id"]
        for box in row["bbox"]:
            assert 0 <= box["x1"] < box["x2"] <= image.width and 0 <= box["y1"] < box["y2"] <= image.height


def test_the_number_of_nuclei_is_the_label(rows: list[dict]) -> None:
    counts = defaultdict(list)
    for row in rows:
        if row["dataset"] == "nuclei_density":
            counts[row["label_name"]].append(len(row["bbox"]))
    few, some, many = (counts[f"{name} nuclei"] for name in ("few scattered", "moderately packed", "densely packed"))
    assert max(few) < min(some) and max(some) < min(many)


def test_the_answers_of_the_experts_follow_from_what_was_drawn(rows: list[dict]) -> None:
    asked = [(row, kind, row["questions"][kind]) for row in rows for kind in COGNITION_KINDS if row["questions"][kind]]
    assert {(row["dataset"], kind) for row, kind, _ in asked} == {
        ("nuclei_density", "cognition_0"), ("nuclei_density", "cognition_1"), ("mitochondria_sbfsem", "cognition_0"),
    }  # fmt: skip
    answers = defaultdict(set)
    for row, kind, question in asked:
        boxes, answer = row["bbox"], question["answer"]
        answers[row["dataset"], kind].add(answer)
        assert question["options"][question["answer_idx"]] == answer
        if kind == "cognition_1":
            areas = sorted((box["x2"] - box["x1"]) * (box["y2"] - box["y1"]) for box in boxes)
            assert answer.startswith("more than twice") is (areas[-1] > 2 * areas[0])
        elif row["dataset"] == "nuclei_density":
            ranges = {"fewer than 8": range(8), "8 to 14": range(8, 15), "15 to 24": range(15, 25)}
            assert len(boxes) in ranges.get(answer, range(25, 99))
        else:
            width = Image.open(io.BytesIO(row["image"]["bytes"])).width
            sides = Counter((box["x1"] + box["x2"]) / 2 < width / 2 for box in boxes)
            said = {"the left half": 1, "the right half": -1}.get(answer, 0)
            assert np.sign(sides[True] - sides[False]) == said
    assert len(answers["nuclei_density", "cognition_0"]) > 1
    assert len({(row["dataset"], row["image_id"]) for row, _, _ in asked}) == 8  # every third of 12, twice


def test_it_imports_with_its_sources_kept_together(hub: Path, tmp_path: Path) -> None:
    splits = {Split.DEV: 0.5, Split.TEST: 0.5}
    info = import_hub(hub, tmp_path / "release", splits=splits, sources=source_rules(), name="Demo", version="1")
    assert sum(split.items for split in info.splits.values()) == N_IMAGES
    asked = read_questions(tmp_path / "release", Split.TEST)["question"].to_pylist()
    assert asked.count("localisation") == sum(
        item["dataset"] in ("nuclei_density", "mitochondria_sbfsem")
        for item in read_items(tmp_path / "release", Split.TEST).to_pylist()
    )
    assert info.splits[Split.TEST].sources < info.splits[Split.TEST].items
    dev = read_items(tmp_path / "release", Split.DEV).to_pylist()
    smears = Counter(item["image_id"].rpartition("_")[0] for item in dev if item["dataset"] == "blood_cells")
    assert set(smears.values()) == {4}


def test_seeds_of_training_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="training"):
        generate(tmp_path, n_images=15, seed=FIRST_TRAINING_SEED)
    command = [sys.executable, "-m", "demo.generate", "--out", str(tmp_path), "--seed", str(FIRST_TRAINING_SEED)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--seed" in done.stderr
    assert not list(tmp_path.iterdir())
