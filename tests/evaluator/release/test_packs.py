"""Packs and views: complete for their split, empty of everything else, valid releases themselves."""

import json
import subprocess
import sys
import zipfile

import pyarrow.parquet as pq
import pytest

from evaluator.errors import InputError
from evaluator.predictions.check import check_file
from evaluator.release.importer import import_hub
from evaluator.release.key import read_key
from evaluator.release.packs import SealedSplit, write_pack
from evaluator.release.prompts import render_prompt
from evaluator.release.read import read_info, read_items, read_questions
from evaluator.release.schema import Split
from tests.builders.hub import hub_rows, write_hub

PUBLIC = [Split.DEV, Split.TEST]


@pytest.fixture
def unpack(small_release, tmp_path):
    def run(split):
        with zipfile.ZipFile(small_release / "packs" / f"{split}.zip") as pack:
            pack.extractall(tmp_path / split)
        return tmp_path / split

    return run


@pytest.mark.parametrize("split", PUBLIC)
def test_an_unpacked_pack_is_a_release_of_its_split(small_release, unpack, split):
    folder = unpack(split)
    assert set(read_info(folder).splits) == {split}
    assert read_info(folder).hash == read_info(small_release).hash
    assert read_items(folder, split).equals(read_items(small_release, split))
    assert read_questions(folder, split).equals(read_questions(small_release, split))
    for file in read_items(folder, split)["file"].to_pylist():
        assert (folder / file).read_bytes() == (small_release / file).read_bytes()


def test_only_the_dev_pack_has_a_key(small_release, unpack):
    assert read_key(unpack(Split.DEV) / "keys", Split.DEV).equals(read_key(small_release / "keys", Split.DEV))
    assert not list(unpack(Split.TEST).rglob("*key*"))
    assert {path.name for path in (small_release / "packs").iterdir()} == {"dev.zip", "test.zip"}
    with pytest.raises(SealedSplit):
        write_pack(small_release, Split.SEALED, small_release / "never.zip")
    assert not (small_release / "never.zip").exists()


@pytest.mark.parametrize("split", PUBLIC)
@pytest.mark.parametrize("name", ["sample_predictions.jsonl", "sample_predictions.csv"])
def test_sample_predictions_are_valid_as_they_are(small_release, unpack, split, name):
    facts = check_file(unpack(split) / name, small_release, split).facts
    assert (facts.variants, facts.abstained) == ((None,), 0)


@pytest.mark.parametrize("name", ["sample_predictions.jsonl", "sample_predictions.csv"])
def test_samples_answer_boxes_and_cognition_too(boxed_release, tmp_path, name):
    with zipfile.ZipFile(boxed_release / "packs" / "test.zip") as pack:
        pack.extractall(tmp_path)
    checked = check_file(tmp_path / name, tmp_path, Split.TEST)
    assert checked.facts.tasks_beside == ("cognition", "localisation-cells_a", "localisation-cells_b")
    whole = {"x1": 0.0, "y1": 0.0, "x2": 12.0, "y2": 12.0, "score": None}
    boxes = [row["boxes"] for row in checked.answers.to_pylist() if row["question"] == "localisation"]
    assert {box["class"] for (box,) in boxes} == {"cell", "object"}
    assert all(box.items() >= whole.items() for (box,) in boxes)
    lines = [json.loads(line) for line in (tmp_path / "questions.jsonl").read_text("utf-8").splitlines()]
    prompts = {line["question"]: line["prompt"] for line in lines if line["variant"] is None}
    assert prompts["localisation"] is None and prompts["cognition_0"].startswith("Answer with a single letter")
    subprocess.run([sys.executable, "-I", "make_predictions.py"], cwd=tmp_path, check=True, timeout=60)
    assert check_file(tmp_path / "predictions.jsonl", tmp_path, Split.TEST).facts.tasks_beside == ("cognition",)


def test_the_script_writes_a_valid_file_and_is_short(unpack):
    folder = unpack(Split.TEST)
    assert len((folder / "make_predictions.py").read_text().splitlines()) <= 20
    subprocess.run([sys.executable, "-I", "make_predictions.py"], cwd=folder, check=True, timeout=60)
    assert check_file(folder / "predictions.jsonl", folder, Split.TEST).facts.variants == (None,)


def test_questions_come_with_prompts_to_the_letter(unpack):
    folder = unpack(Split.TEST)
    lines = [json.loads(line) for line in (folder / "questions.jsonl").read_text("utf-8").splitlines()]
    asked = read_questions(folder, Split.TEST).to_pylist()
    for line, question in zip(lines, asked, strict=True):
        assert question.items() <= line.items() and (folder / line["image"]).is_file()
        is_question_form = line["variant"] is None
        assert line["prompt"] == (render_prompt(line["text"], line["options"]) if is_question_form else None)


def test_the_official_prompt():
    assert render_prompt("Which cell is it?", ["basophil", "none of the above"]) == (
        "Answer with a single letter, no extra details.\nQuestion:Which cell is it?\nA) basophil\nB) none of the above"
    )


def test_packs_carry_licences_and_attribution(unpack):
    readme = (unpack(Split.TEST) / "README.md").read_text("utf-8")
    assert "| cells_a | Cells a | CC0-1.0 | Example Institute; PMID 123 |" in readme


def test_the_hidden_key_has_no_part_in_the_bytes_of_a_pack(tmp_path):
    """Permuted answers change the key and nothing else: not a byte of any public file."""
    rows = hub_rows(20)
    contents = []
    for name in ("as is", "permuted"):
        write_hub(tmp_path / name / "hub", rows)
        out = tmp_path / name / "release"
        import_hub(out.parent / "hub", out, splits={Split.TEST: 0.6, Split.SEALED: 0.4}, name="R", version="1",
                   id_secret=b"s" * 32)  # fmt: skip
        write_pack(out, Split.TEST, out / "again.zip")
        contents.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
        for row in rows:
            for question in (*row["questions"].values(), *row["captions"].values()):
                question["answer_idx"] = (question["answer_idx"] + 1) % len(question["options"])
                question["answer"] = question["options"][question["answer_idx"]]
    differing = {str(path) for path in contents[0] if contents[0][path] != contents[1][path]}
    assert differing == {"keys/test.parquet", "keys/sealed.parquet"}
    assert contents[0].keys() == contents[1].keys()


def test_nothing_in_a_test_pack_tells_the_original_ids(tmp_path):
    rows = [row | {"image_id": f"SENTINEL{n}"} for n, row in enumerate(hub_rows(12))]
    write_hub(tmp_path / "hub", rows)
    import_hub(tmp_path / "hub", tmp_path / "release", splits={Split.TEST: 1.0}, name="R", version="1")
    with zipfile.ZipFile(tmp_path / "release/packs/test.zip") as pack:
        pack.extractall(tmp_path / "pack")
    for path in (path for path in (tmp_path / "pack").rglob("*") if path.is_file()):
        content = (
            json.dumps(pq.read_table(path).to_pylist()).encode() if path.suffix == ".parquet" else path.read_bytes()
        )
        assert b"SENTINEL" not in content + str(path.relative_to(tmp_path / "pack")).encode()


def test_a_folder_that_is_no_release_says_so(tmp_path):
    with pytest.raises(InputError, match="no release.json"):
        read_info(tmp_path)
    (tmp_path / "release.json").write_text('{"schema": 99}')
    with pytest.raises(InputError, match="reads schema 1"):
        read_info(tmp_path)
    (tmp_path / "release.json").write_text('{"schema": 1, "name": "x"}')
    with pytest.raises(InputError, match="damaged"):
        read_info(tmp_path)
