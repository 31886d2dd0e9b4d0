"""The Hub's layout becomes a release: all traps of the published data, keys apart, nothing half-written."""

import json
import random
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluator.errors import InputError
from evaluator.release.importer import import_hub
from evaluator.release.key import read_key
from evaluator.release.read import read_info, read_items, read_questions
from evaluator.release.schema import Split
from tests.builders.hub import HUB_ROW, LABELS, cognition_question, hub_box, hub_row, hub_rows, write_hub

THREE = {Split.DEV: 0.3, Split.TEST: 0.4, Split.SEALED: 0.3}
DEV_ONLY = {Split.DEV: 1.0}
SECRET = b"s" * 32


@pytest.fixture
def imported(tmp_path):
    """Import rows; `imported.folder` is the release, `imported(rows, …)` its info."""

    def run(rows, *, splits=DEV_ONLY, hub=None, **options):
        count = len(list(tmp_path.glob("hub*")))
        folder = write_hub(tmp_path / f"hub{count}", rows, **(hub or {}))
        run.folder = tmp_path / f"release{count}"
        return import_hub(folder, run.folder, splits=splits, name="R", version="1", id_secret=SECRET, **options)

    return run


def problems_of(imported, rows, **options):
    with pytest.raises(InputError) as caught:
        imported(rows, **options)
    return caught.value


def change(row, *path, to):
    """The row with one nested field changed."""
    inner = row
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return row


def test_a_release_has_items_questions_and_key_in_one_order(imported):
    info = imported(hub_rows(30), splits=THREE)
    for split, sizes in info.splits.items():
        items, questions, key = (
            read_items(imported.folder, split), read_questions(imported.folder, split),
            read_key(imported.folder / "keys", split),
        )  # fmt: skip
        ids = list(zip(items["dataset"].to_pylist(), items["image_id"].to_pylist(), strict=True))
        assert ids == list(zip(key["dataset"].to_pylist(), key["image_id"].to_pylist(), strict=True))
        asked = zip(questions["dataset"].to_pylist(), questions["image_id"].to_pylist(), strict=True)
        assert list(dict.fromkeys(asked)) == ids
        assert (len(ids), questions.num_rows, questions.num_rows) == (sizes.items, sizes.questions, 18 * len(ids))
        assert all((imported.folder / file).is_file() for file in items["file"].to_pylist())
    assert sum(sizes.items for sizes in info.splits.values()) == 30
    assert read_info(imported.folder) == info


def test_the_key_holds_the_right_answers(imported):
    rows = [hub_row("a", label=1, bbox=[{"className": "cell", "x1": 1, "y1": 2, "x2": 3, "y2": 4.5}])]
    imported(rows)
    (key,) = read_key(imported.folder / "keys", Split.DEV).to_pylist()
    *asked, located = read_questions(imported.folder, Split.DEV).to_pylist()
    assert (located["question"], located["options"]) == ("localisation", ["cell"])  # answered by boxes, by no option
    for question, answer in zip(asked, key["answers"], strict=True):
        assert (question["question"], question["variant"]) == (answer["question"], answer["variant"])
        form = "questions" if answer["variant"] is None else "captions"
        name = answer["question"] if answer["variant"] is None else f"{answer['question']}_{answer['variant']}"
        assert question["options"][answer["answer_idx"]] == rows[0][form][name]["answer"]
    assert key["boxes"] == [{"class": "cell", "x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.5}]
    facts = {"label_name": LABELS[1], "organism": "Homo sapiens", "synthetic": "no", "source": "a", "original_id": "a"}
    assert key.items() >= (facts | {"scale": "0.1 to 1 µm per pixel", "pmid": "123", "path": "a"}).items()


@pytest.mark.parametrize("form", ["arrow-stream", "arrow-file", "parquet"])
def test_every_form_of_shard_gives_the_same_release(imported, form):
    rows = hub_rows(24)
    expected = imported(rows, splits=THREE)
    assert imported(rows, splits=THREE, hub={"form": form, "shards": 1, "rows_per_batch": 5}) == expected


# ---- traps of the published data


def test_null_questions_and_missing_captions_are_not_asked(imported):
    row = hub_row("a", stain=None)
    row["captions"]["domain_0"] = None
    row["captions"]["domain_1"] = {"question": None, "options": [], "answer": None, "answer_idx": None}
    imported([row])
    asked = read_questions(imported.folder, Split.DEV).select(["question", "variant"]).to_pylist()
    assert {"question": "domain", "variant": None} in asked
    assert [q for q in asked if q["question"] == "stain"] == []
    assert [q["variant"] for q in asked if q["question"] == "domain"] == [None]


def test_a_benchmark_without_captions_says_so(imported):
    schema = pa.schema([field for field in HUB_ROW if field.name != "captions"])
    info = imported([hub_row("a")], hub={"schema": schema})
    assert any("no captions" in note for note in info.notes)
    assert set(read_questions(imported.folder, Split.DEV)["variant"].to_pylist()) == {None}


@pytest.mark.parametrize(
    ("stain", "dataset"),
    [("H2B-mCherry", "held_et_al_2010_h2b"), ("GalT\u2013EGFP", "held_et_al_2010_galt")],
)
def test_a_null_dataset_is_recovered_from_the_stain(imported, stain, dataset):
    info = imported([hub_row("a", None, stain=stain), hub_row("b")])
    assert read_items(imported.folder, Split.DEV)["dataset"].to_pylist() == [dataset, "cells_a"]
    assert info.datasets[dataset].taxonomy == "cell cycle"
    assert f"1 rows without a dataset are {dataset} by their stain." in info.notes


def test_a_null_dataset_of_another_stain_names_the_row(imported):
    error = problems_of(imported, [hub_row("a"), hub_row("b", None, stain="Giemsa")])
    assert [(p.code, p.row) for p in error.problems] == [("missing_dataset", 2)]
    assert "image_id b" in error.problems[0].message


def test_an_image_id_may_stand_in_two_datasets_and_stays_one_source(imported):
    rows = [hub_row(f"i{n}", dataset) for n in range(20) for dataset in ("contour", "texture")]
    imported(rows, splits=THREE)
    place = {}
    for split in Split:
        for key in read_key(imported.folder / "keys", split).to_pylist():
            assert place.setdefault(key["source"], split) is split
    assert len(place) == 20


def test_the_same_image_twice_in_one_dataset_is_an_error(imported):
    error = problems_of(imported, [hub_row("a"), hub_row("b"), hub_row("a")])
    assert error.counts == {"duplicate_item": 1}
    assert error.problems[0].row == 3 and "row 1 already" in error.problems[0].message


def test_unknown_columns_are_ignored_with_a_note(imported):
    schema = HUB_ROW.append(pa.field("favourite", pa.string()))
    info = imported([hub_row("a", favourite="x")], hub={"schema": schema})
    assert "The unknown column 'favourite' was ignored." in info.notes


@pytest.mark.parametrize(
    ("path", "to", "code"),
    [
        (("questions", "stain", "answer_idx"), 9, "answer_out_of_range"),
        (("questions", "stain", "answer_idx"), -1, "answer_out_of_range"),
        (("questions", "stain", "answer_idx"), None, "answer_out_of_range"),
        (("questions", "stain", "answer"), "no such option", "answer_mismatch"),
        (("captions", "stain_1", "options"), [], "no_options"),
        (("captions", "stain_1", "options"), ["a", None, "c", "d"], "bad_option"),
        (("questions", "stain", "options"), [f"o{i}" for i in range(27)], "answer_mismatch"),
    ],
)
def test_a_question_that_cannot_be_scored_names_its_row(imported, path, to, code):
    error = problems_of(imported, [hub_row("a"), change(hub_row("b"), *path, to=to)])
    assert [(p.code, p.row) for p in error.problems] == [(code, 2)]
    assert "dataset cells_a, image_id b" in error.problems[0].message


def test_an_option_listed_twice_is_listed_once(imported):
    row = hub_row("a")
    row["questions"]["stain"] |= {"options": ["x", "x", "y"], "answer": "y", "answer_idx": 2}
    info = imported([row])
    asked = read_questions(imported.folder, Split.DEV).to_pylist()
    (at,) = [i for i, q in enumerate(asked) if q["question"] == "stain" and q["variant"] is None]
    key = read_key(imported.folder / "keys", Split.DEV).to_pylist()[0]
    assert (asked[at]["options"], key["answers"][at]["answer_idx"]) == (["x", "y"], 1)
    assert any("twice" in note for note in info.notes)


def test_a_label_without_a_name_takes_it_from_the_class_list(imported):
    imported([hub_row("a", label=2, label_name=None)])
    assert read_key(imported.folder / "keys", Split.DEV)["label_name"].to_pylist() == [LABELS[2]]


def test_lists_and_numbers_become_text(imported):
    types = {"institution": pa.list_(pa.string()), "pmid": pa.int64()}
    schema = pa.schema([pa.field(f.name, types.get(f.name, f.type)) for f in HUB_ROW])
    imported([hub_row("a", institution=["ucdavis", "upitt"], pmid=77)], hub={"schema": schema})
    (key,) = read_key(imported.folder / "keys", Split.DEV).to_pylist()
    assert (key["institution"], key["pmid"]) == ("ucdavis; upitt", "77")


def test_boxes_as_a_struct_of_lists_are_read_too(imported):
    number = pa.list_(pa.float64())
    boxes = pa.struct([("className", pa.list_(pa.string())), *[(c, number) for c in ("x1", "y1", "x2", "y2")]])
    schema = pa.schema([pa.field(f.name, boxes if f.name == "bbox" else f.type) for f in HUB_ROW])
    row = hub_row("a", bbox={"className": ["p", "q"], "x1": [1, 2], "y1": [1, 2], "x2": [3, 4], "y2": [3, 4]})
    imported([row], hub={"schema": schema})
    (key,) = read_key(imported.folder / "keys", Split.DEV).to_pylist()
    assert [box["class"] for box in key["boxes"]] == ["p", "q"]


def located(folder, split=Split.DEV):
    rows = read_questions(folder, split).to_pylist()
    return {row["image_id"]: row for row in rows if row["question"] == "localisation"}


def test_every_image_of_a_dataset_with_boxes_is_asked_for_all_its_classes(imported):
    rows = [hub_row(name, label=n, split="test" if n else "dev") for n, name in enumerate("abc")]
    rows[1]["bbox"] = [hub_box("nucleus"), hub_box("cell")]
    rows[2]["bbox"] = [hub_box("axon")]
    rows.append(hub_row("d", "cells_b", split="dev"))
    imported(rows, splits="given")
    asked = located(imported.folder) | located(imported.folder, Split.TEST)
    assert len(asked) == 3 and {row["dataset"] for row in asked.values()} == {"cells_a"}
    for row in asked.values():
        assert (row["variant"], row["text"], row["options"]) == (None, None, ["axon", "cell", "nucleus"])
    sizes = read_info(imported.folder).splits
    assert (sizes[Split.DEV].questions, sizes[Split.TEST].questions) == (2 * 18 + 1, 2 * 18 + 2)


def test_boxes_without_a_class_are_objects_and_a_mix_is_refused(imported):
    imported([hub_row("a", bbox=[hub_box(None), hub_box("")]), hub_row("b")])
    assert located(imported.folder)["b"]["options"] == ["object"]
    key = read_key(imported.folder / "keys", Split.DEV).to_pylist()
    assert [[found["class"] for found in row["boxes"]] for row in key] == [["object", "object"], []]
    error = problems_of(imported, [hub_row("a", bbox=[hub_box(None)]), hub_row("b", bbox=[hub_box("cell")])])
    assert error.counts == {"unnamed_box": 1} and "cells_a" in error.problems[0].message


def test_boxes_are_cut_at_the_edge_of_the_image_with_a_note(imported):
    info = imported([hub_row("a", bbox=[hub_box("cell", -3, 1, 6, 99), hub_box("cell")])])
    (key,) = read_key(imported.folder / "keys", Split.DEV).to_pylist()
    assert key["boxes"][0] == {"class": "cell", "x1": 0.0, "y1": 1.0, "x2": 6.0, "y2": 12.0}
    assert "1 boxes stuck out of their image; they were cut at its edge." in info.notes


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (hub_box("cell", 6, 2, 1, 7), "bad_box"), (hub_box("cell", 1, 7, 6, 7), "bad_box"),
        (hub_box("cell", float("nan")), "bad_box"), (hub_box("cell", 1, 2, float("inf"), 7), "bad_box"),
        (hub_box("cell", 12, 2, 20, 7), "bad_box"),
    ],
)  # fmt: skip
def test_boxes_that_are_none_are_refused_with_their_row(imported, wrong, code):
    error = problems_of(imported, [hub_row("a"), hub_row("b", bbox=[hub_box("cell"), wrong])])
    assert error.counts == {code: 1} and error.problems[0].row == 2


def test_a_dataset_cannot_take_the_address_of_another_board(imported):
    for name in ("localisation", "localisation-cells", "cognition", "localisation cells"):
        assert problems_of(imported, [hub_row("a", name)]).counts == {"bad_name": 1}


def test_cognition_is_asked_in_question_form_alone(imported):
    kinds = ("cognition_0", "cognition_10", "cognition_2", "localisation")
    question = HUB_ROW.field("questions").type.field("stain").type
    stated = pa.struct([(kind, question) for kind in kinds])
    captions = pa.struct([("cognition_0_1", question)])
    row = hub_row("a", questions=dict.fromkeys(kinds, cognition_question(1)))
    row["captions"] = {"cognition_0_1": cognition_question(1)}
    types = {"questions": stated, "captions": captions}
    schema = pa.schema([pa.field(f.name, types.get(f.name, f.type)) for f in HUB_ROW])
    info = imported([row], hub={"schema": schema})
    found = read_questions(imported.folder, Split.DEV).to_pylist()
    assert [q["question"] for q in found] == ["cognition_0", "cognition_2", "cognition_10"]
    assert any(note.startswith("1 captions of cognition") for note in info.notes)
    assert any("'localisation'" in note for note in info.notes)


def test_undecodable_images_are_all_named_and_nothing_is_left(imported, tmp_path):
    rows = hub_rows(8)
    rows[2]["image"]["bytes"] = b"no image"
    rows[5]["image"]["bytes"] = rows[5]["image"]["bytes"][:70]
    rows[6]["image"]["bytes"] = None
    error = problems_of(imported, rows, splits=THREE)
    assert [(p.code, p.row) for p in error.problems] == [("undecodable_image", n) for n in (3, 6, 7)]
    assert "dataset cells_a, image_id img_00002" in error.problems[0].message
    assert [path.name for path in tmp_path.iterdir()] == ["hub0"]


def test_problems_of_every_kind_are_named_in_one_go(imported):
    rows = hub_rows(6)
    rows[0]["image"]["bytes"] = b"no image"
    rows[1]["questions"]["stain"]["answer_idx"] = 50
    rows[2]["image_id"] = None
    rows.append(rows[3])
    error = problems_of(imported, rows, exclude=["nowhere"])
    assert error.counts == {
        "undecodable_image": 1, "answer_out_of_range": 1, "missing_image_id": 1, "duplicate_item": 1,
        "unknown_dataset": 1,
    }  # fmt: skip


# ---- sources and splits


def test_a_source_rule_groups_the_images_of_one_specimen(imported):
    rows = [hub_row(f"smear{n // 4}_{n}.png", label=n % 3) for n in range(40)]
    info = imported(rows, splits=THREE, sources={"cells_a": r"^(.+)_[^_]+$"})
    assert sum(sizes.sources for sizes in info.splits.values()) == 10
    sources = {split: set(read_key(imported.folder / "keys", split)["source"].to_pylist()) for split in Split}
    assert not sources[Split.DEV] & sources[Split.TEST] and not sources[Split.TEST] & sources[Split.SEALED]
    assert info.source_rule == {"cells_a": r"^(.+)_[^_]+$"}


@pytest.mark.parametrize(
    ("sources", "code"),
    [
        ({"cells_a": "^(x"}, "bad_source_rule"),
        ({"cells_z": "^(.+)$"}, "unknown_dataset"),
        ({"cells_a": "^q"}, "source_rule_no_match"),
    ],
)
def test_a_wrong_source_rule_is_refused(imported, sources, code):
    assert code in problems_of(imported, hub_rows(4), sources=sources).counts


def test_given_splits_are_taken(imported):
    rows = [hub_row(f"i{n}", split=split) for n, split in enumerate(["dev", "test", "test", "sealed"])]
    info = imported(rows, splits="given")
    assert {split: sizes.items for split, sizes in info.splits.items()} == {"dev": 1, "test": 2, "sealed": 1}


def test_given_splits_must_be_known_and_keep_sources_whole(imported):
    error = problems_of(imported, [hub_row("a", split="train")], splits="given")
    assert error.counts == {"unknown_split": 1}
    rows = [hub_row("a_1", split="dev"), hub_row("a_2", split="test")]
    error = problems_of(imported, rows, splits="given", sources={"cells_a": "^(.)_"})
    assert error.counts == {"source_straddles": 1}


def test_excluded_datasets_are_left_out(imported):
    info = imported(hub_rows(10), exclude=["cells_b"])
    assert set(info.datasets) == {"cells_a"} and info.splits[Split.DEV].items == 5
    assert info.notes == ("cells_b (5 images) was left out on request.",)


def test_a_broken_dataset_can_be_excluded(imported):
    rows = [hub_row("a"), change(hub_row("b", "broken"), "questions", "stain", "answer_idx", to=50)]
    rows[1]["image"]["bytes"] = None
    assert set(imported(rows, exclude=["broken"]).datasets) == {"cells_a"}


@pytest.mark.parametrize("splits", [{Split.DEV: 0.5}, {Split.DEV: 1.5, Split.TEST: -0.5}, {}])
def test_fractions_must_sum_to_one(imported, splits):
    assert problems_of(imported, hub_rows(2), splits=splits).counts == {"bad_splits": 1}


# ---- the hidden part


def test_hidden_splits_carry_nothing_of_the_original(imported):
    rows = hub_rows(40)
    for n, row in enumerate(rows):
        row |= {"image_id": f"SENTINEL-id-{n}", "label_name": f"SENTINEL-label-{n % 3}", "pmid": f"SENTINEL-pmid-{n}",
                "institution": f"SENTINEL-institution-{n}"}  # fmt: skip
        row["image"]["path"] = f"SENTINEL-path-{n}"
    imported(rows, splits={Split.TEST: 0.5, Split.SEALED: 0.5}, sources={"cells_a": "^(.+)$"})
    public = [path for path in imported.folder.rglob("*") if path.is_file() and "keys" not in path.parts]
    assert len(public) > 40
    for path in public:
        assert b"SENTINEL" not in path.read_bytes() + path.name.encode()
    for name in ("items.parquet", "questions.parquet"):
        assert "SENTINEL" not in json.dumps(pq.read_table(imported.folder / name).to_pylist())
    original = [row["image_id"] for row in rows]
    order = [original.index(i) for i in read_key(imported.folder / "keys", Split.TEST)["original_id"].to_pylist()]
    assert order != sorted(order)


def test_keys_are_private_and_ids_need_the_secret(imported, tmp_path):
    imported(hub_rows(12), splits=THREE)
    keys = imported.folder / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o600}
    assert {path.name for path in keys.iterdir()} == {"dev.parquet", "test.parquet", "sealed.parquet", "id_secret"}
    ids = set(read_items(imported.folder, Split.TEST)["image_id"].to_pylist())
    import_hub(tmp_path / "hub0", tmp_path / "other", splits=THREE, name="R", version="1")
    assert not ids & set(read_items(tmp_path / "other", Split.TEST)["image_id"].to_pylist())


def test_dev_keeps_its_ids_and_order(imported):
    rows = hub_rows(10)
    imported(rows)
    assert read_items(imported.folder, Split.DEV)["image_id"].to_pylist() == [row["image_id"] for row in rows]


# ---- the hash


def test_the_hash_covers_what_is_public_and_not_the_key(imported):
    rows = hub_rows(12)
    expected = imported(rows, splits=THREE).hash
    for row in rows:
        row["questions"]["stain"] |= {"answer_idx": 0, "answer": row["questions"]["stain"]["options"][0]}
    assert imported(rows, splits=THREE).hash == expected
    rows[3]["questions"]["stain"]["question"] = "Another wording?"
    reworded = imported(rows, splits=THREE).hash
    rows[4]["image"] = rows[5]["image"]
    assert len({expected, reworded, imported(rows, splits=THREE).hash, imported(rows).hash}) == 4


# ---- input that is no benchmark


def test_folders_that_are_no_benchmark_are_refused(tmp_path, imported):
    (tmp_path / "empty").mkdir()
    write_hub(tmp_path / "lfs", hub_rows(2))
    next((tmp_path / "lfs").rglob("*.arrow")).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    write_hub(tmp_path / "cut", hub_rows(20))
    shard = next((tmp_path / "cut").rglob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[:-4000])
    write_hub(tmp_path / "other", [], schema=pa.schema([("x", pa.int64())]))
    for name, code in (
        ("nowhere", "no_such_folder"), ("empty", "no_shards"), ("lfs", "lfs_pointer"), ("cut", "unreadable_shard"),
        ("other", "missing_column"),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            import_hub(tmp_path / name, tmp_path / "out", splits=DEV_ONLY, name="R", version="1")
        assert code in caught.value.counts, name
        assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_not_touched(tmp_path):
    write_hub(tmp_path / "hub", hub_rows(2))
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists"):
        import_hub(tmp_path / "hub", tmp_path / "out", splits=DEV_ONLY, name="R", version="1")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    write_hub(tmp_path / "hub", hub_rows(2))
    with pytest.raises(InputError, match="cannot_write"):
        import_hub(tmp_path / "hub", tmp_path / "hub/perception/0.1.0/dataset_info.json/out", splits=DEV_ONLY,
                   name="R", version="1")  # fmt: skip


@pytest.mark.parametrize("form", ["arrow-stream", "arrow-file", "parquet"])
def test_a_damaged_shard_is_refused_or_harmless(tmp_path, form):
    write_hub(tmp_path / "hub", hub_rows(6), form=form)
    shard = next(path for path in (tmp_path / "hub").rglob("ubench-*"))
    whole, rng = shard.read_bytes(), random.Random(0)
    for n in range(40):
        content = bytearray(whole)
        for _ in range(5):
            content[rng.randrange(len(content))] = rng.randrange(256)
        shard.write_bytes(content)
        try:
            import_hub(tmp_path / "hub", tmp_path / f"out{n}", splits=DEV_ONLY, name="R", version="1")
        except InputError:
            assert not (tmp_path / f"out{n}").exists()
