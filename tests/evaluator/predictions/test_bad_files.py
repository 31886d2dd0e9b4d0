"""Files that are no valid predictions: each gets a code and a sentence, all at once, with little memory and time."""

import gzip
import io
import json
import pickle
import random
import struct
import time
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluator.errors import InputError
from evaluator.predictions.check import check_file
from evaluator.predictions.limits import MIB, Limits
from evaluator.release.read import read_questions
from evaluator.release.schema import Split

SMALL = Limits(file_bytes=2 * MIB, line_bytes=4096)
HEADER = b"dataset,image_id,question,option\n"


@pytest.fixture(scope="module")
def rows(small_release):
    asked = read_questions(small_release, Split.TEST).to_pylist()
    return [
        {"dataset": q["dataset"], "image_id": q["image_id"], "question": q["question"], "option": q["options"][0]}
        for q in asked if q["variant"] is None
    ]  # fmt: skip


@pytest.fixture
def refuse(small_release, tmp_path):
    """The InputError that a file's content earns."""

    def run(content: bytes, name="predictions.csv", **options):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            check_file(tmp_path / name, small_release, options.pop("split", Split.TEST), **options)
        for problem in caught.value.problems:
            assert problem.message[0].isupper() or problem.message[0] == "`", problem.message
            assert problem.message.endswith("."), problem.message
        return caught.value

    return run


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as pack:
        pack.writestr("predictions.csv", HEADER)
    return file.getvalue()


def parquet(table: pa.Table, **options) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


WEIGHTS_HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
BAD_FILES = {
    "pickle": (pickle.dumps({"a": 1}), "pickle"),
    "old pickle": (b"cos\nsystem\n(S'true'\ntR.", "pickle"),
    "zip": (zipped(), "zip_archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "seven_zip_archive"),
    "html": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "html_page"),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "lfs_pointer"),
    "weights": (struct.pack("<Q", len(WEIGHTS_HEADER)) + WEIGHTS_HEADER + b"\0\0\0\0", "safetensors"),
    "picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image_file"),
    "empty": (b"", "empty_file"),
    "blanks": (b" \n\n ", "empty_file"),
    "gzipped nothing": (gzip.compress(b""), "empty_file"),
    "gzip twice": (gzip.compress(gzip.compress(HEADER)), "compressed_file"),
    "gzip of a pickle": (gzip.compress(pickle.dumps([1])), "pickle"),
    "gzip cut off": (gzip.compress(HEADER * 1000)[:-9], "damaged_gzip"),
    "gzip garbage": (b"\x1f\x8b" + b"x" * 100, "damaged_gzip"),
    "xz": (b"\xfd7zXZ\x00\x00", "compressed_file"),
    "json array": (b'[{"dataset": "a"}]', "json_array"),
    "utf-16": ("dataset,image_id\n".encode("utf-16"), "bad_encoding"),
    "latin-1 header": ("dataset,image_id,question,option,caf\xe9\n".encode("latin-1"), "bad_encoding"),
    "binary": (bytes(range(1, 32)) + b"\0\0rubbish", "binary_file"),
    "only a header": (HEADER, "empty_file"),
    "missing columns": (b"image,answer\n1,2\n", "missing_column"),
    "semicolons": (b"dataset;image_id;question;option\na;b;c;d\n", "missing_column"),
    "a column twice": (b"dataset,image_id,question,option,option\n", "duplicate_column"),
    "boxes in csv": (b"dataset,image_id,question,boxes\na,b,localisation,1 2 3 4\n", "bad_boxes"),
    "boxes in jsonl": (b'{"dataset": "a", "boxes": [[1, 2, 3, 4]]}\n', "bad_boxes"),
    "not even json": (b'{"dataset": \n', "bad_json"),
    "deep json": (b'{"option":' + b"[" * 3000 + b"]" * 3000 + b"}\n", "bad_json"),
    "parquet cut off": (parquet(pa.table({"dataset": ["a"] * 100}))[:-30], "damaged_parquet"),
    "parquet magic only": (b"PAR1" + b"\0" * 100 + b"PAR1", "damaged_parquet"),
    "parquet names": (parquet(pa.table({"dataset": ["a"]})).replace(b"dataset", b"datas\xa2t"), "damaged_parquet"),
    "parquet columns": (parquet(pa.table({f"c{i}": [1] for i in range(200)})), "too_many_columns"),
}


@pytest.mark.parametrize(("content", "code"), BAD_FILES.values(), ids=BAD_FILES)
@pytest.mark.parametrize("name", ["predictions.csv", "predictions.parquet"])
def test_what_a_file_is_decides_not_its_name(refuse, content, code, name):
    assert code in refuse(content, name).counts


def test_a_missing_file_says_so(small_release, tmp_path):
    with pytest.raises(InputError, match="no_such_file"):
        check_file(tmp_path / "nowhere.csv", small_release, Split.TEST)


# ---- single lines


def jsonl(rows) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


BAD_LINES = {
    "cut off": (b'{"dataset": "a"', "bad_json"),
    "an array": (b"[1, 2]", "bad_json"),
    "a number": (b"3", "bad_json"),
    "broken encoding": (b'{"dataset": "\xff\xfe"}', "bad_encoding"),
    "half a character": (b'{"dataset": "\\ud800"}', "bad_type"),
    "a name twice": (b'{"option": 1, "option": 2}', "bad_json"),
    "NaN": (b'{"option": NaN}', "bad_json"),
    "a truth value": (b'{"option": true}', "bad_type"),
    "a float": (b'{"option": 1.0}', "bad_type"),
    "a list": (b'{"option": ["a"]}', "bad_type"),
    "an id that is a number": (b'{"image_id": 7}', "bad_type"),
    "a reply that is a number": (b'{"reply": 7}', "bad_type"),
    "boxes": (b'{"boxes": 1}', "bad_boxes"),
    "a box that is null": (b'{"boxes": [null]}', "bad_boxes"),
    "a corner in words": (b'{"boxes": [{"class": "cell", "x1": "1"}]}', "bad_boxes"),
    "a corner that is true": (b'{"boxes": [{"x1": true}]}', "bad_boxes"),
    "a class that is a number": (b'{"boxes": [{"class": 7}]}', "bad_boxes"),
    "a corner twice": (b'{"boxes": [{"x1": 1, "x1": 2}]}', "bad_json"),
    "a huge line": (b'{"reply": "' + b"x" * 600_000 + b'"}', "line_too_long"),
    "a huge integer": (b'{"option": ' + b"9" * 5000 + b"}", "bad_json"),
}


@pytest.mark.parametrize(("line", "code"), BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_of_jsonl_is_named_with_its_row(refuse, rows, line, code):
    error = refuse(jsonl(rows[:4]) + b"\n" + line + b"\n" + jsonl(rows[4:]))
    assert (error.counts, error.problems[0].row) == ({code: 1}, 5)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"option": 99}, "index_out_of_range"), ({"option": -1}, "index_out_of_range"),
        ({"option": 2**70}, "index_out_of_range"), ({"option": "no such"}, "option_not_in_list"),
        ({"option": "1"}, "option_not_in_list"), ({"image_id": None}, "missing_value"),
        ({"variant": 2}, "bad_variant"), ({"variant": True}, "bad_variant"), ({"variant": "1"}, "bad_variant"),
        ({"image_id": "nowhere"}, "unknown_image"), ({"question": "weather"}, "unknown_question"),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_with_its_row(refuse, rows, values, code):
    error = refuse(jsonl([*rows[:2], rows[2] | values, *rows[3:]]))
    assert (error.problems[0].code, error.problems[0].row) == (code, 3)
    assert error.counts == ({code: 1} if "option" in values else {code: 1, "missing_answer": 1})


def test_bad_lines_of_csv_are_named_with_their_rows(refuse, rows):
    lines = [f"{r['dataset']},{r['image_id']},{r['question']},{r['option']}\n".encode() for r in rows]
    lines[2] = b"too,few\n"
    lines[4] = b"\xff\xfe" + lines[4]
    lines[6] = b'"a"b,c,d,e\n'
    lines[8] = b"x" * 600_000 + b"\n"
    error = refuse(HEADER + b"".join(lines[:5]) + b"\n" + b"".join(lines[5:]))
    found = [(p.code, p.row) for p in error.problems if p.row]
    assert found == [("bad_csv", 3), ("bad_encoding", 5), ("bad_csv", 7), ("line_too_long", 9)]
    assert error.counts["missing_answer"] == 4


def test_a_file_for_another_split_says_which(refuse, small_release):
    asked = read_questions(small_release, Split.DEV).to_pylist()
    error = refuse(jsonl([{k: q[k] for k in ("dataset", "image_id", "question")} | {"option": 0} for q in asked]))
    assert set(error.counts) == {"wrong_split"} and "belongs to split dev" in error.problems[0].message


def test_prediction_files_are_not_for_the_sealed_split(refuse, rows):
    assert refuse(jsonl(rows), split=Split.SEALED).counts == {"sealed_split": 1}


def test_sealed_ids_are_not_told_from_unknown_ones(refuse, small_release):
    asked = read_questions(small_release, Split.SEALED).to_pylist()
    error = refuse(jsonl([{k: asked[0][k] for k in ("dataset", "image_id", "question")} | {"option": 0}]))
    assert error.counts == {"unknown_image": 1}


def test_missing_answers_are_counted_exactly_and_the_first_thousand_named(refuse, rows):
    error = refuse(jsonl(rows[:1]))
    assert error.counts == {"missing_answer": len(rows) - 1}
    named = rows[1]
    assert f"{named['question']} of image {named['image_id']}" in error.problems[0].message


def test_counts_are_exact_past_the_thousand_that_are_named(refuse, rows):
    error = refuse(jsonl([*rows, *[rows[0]] * 1100]))
    assert error.counts == {"duplicate_answer": 1100}
    assert [p.row for p in error.problems] == list(range(len(rows) + 1, len(rows) + 1001))


def test_a_file_that_only_abstains_is_refused(refuse, rows):
    assert refuse(jsonl([row | {"option": None} for row in rows])).counts == {"nothing_answered": 1}


def test_parquet_columns_of_other_types_are_refused(refuse, rows):
    table = pa.Table.from_pylist(rows)
    for name, values, code in (
        ("option", pa.array([1.5] * len(rows)), "bad_type"),
        ("option", pa.array([True] * len(rows)), "bad_type"),
        ("image_id", pa.array(range(len(rows))), "bad_type"),
        ("dataset", pa.array([[1]] * len(rows)), "bad_type"),
    ):
        changed = table.set_column(table.column_names.index(name), name, values)
        assert refuse(parquet(changed)).counts == {code: 1}
    invalid = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(struct.pack("<ii", 0, 2)), pa.py_buffer(b"\xff\xfe")]
    )
    changed = pa.table(
        [table[n].slice(0, 1) if n != "option" else invalid for n in table.column_names], table.column_names
    )
    assert refuse(parquet(changed)).counts == {"damaged_parquet": 1}


# ---- bombs


def test_a_gzip_bomb_stops_at_the_limit(refuse, tmp_path):
    packed = gzip.compress(HEADER + b"x" * 50 * MIB)
    started = time.monotonic()
    assert refuse(packed, limits=SMALL).counts == {"file_too_large": 1}
    assert time.monotonic() - started < 2


def test_a_text_repeated_a_million_times_in_parquet_is_refused_before_it_is_written_out(refuse):
    indices = pa.array([0] * 100, pa.int32())
    long_text = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * 100_000]))
    table = pa.table({"dataset": long_text, "image_id": long_text, "question": long_text, "option": long_text})
    assert refuse(parquet(table)).counts in ({"text_too_long": 1}, {"unknown_image": 100})
    assert refuse(parquet(table), limits=SMALL).counts == {"text_too_long": 1}
    assert refuse(parquet(table), limits=Limits(file_bytes=MIB)).counts == {"file_too_large": 1}


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl", "bad jsonl"])
def test_far_too_many_rows_are_not_all_read(refuse, rows, form):
    n = 2 * 3 * len(rows) + 1001
    content = {
        "parquet": parquet(pa.table({name: ["a"] * n for name in rows[0]})),
        "csv": HEADER + b"a,b,c,d\n" * n,
        "jsonl": jsonl([dict.fromkeys(rows[0], "a")]) * n,
        "bad jsonl": b"{\n" * n,
    }[form]
    assert refuse(content).counts == {"too_many_rows": 1}


def test_a_file_without_line_breaks_takes_little_memory(refuse):
    assert "line_too_long" in refuse(b'{"option": "' + b"x" * MIB, limits=SMALL).counts
    assert "line_too_long" in refuse(b"x" * MIB, limits=SMALL).counts
    assert "bad_csv" in refuse(HEADER + b'"' + (b"x" * 60 + b"\n") * 1000, limits=SMALL).counts


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_damage_anywhere_is_refused_or_harmless(small_release, rows, tmp_path, form):
    """Random damage never ends in anything but answers or an InputError."""
    rng = random.Random(0)
    lines = [",".join(row.values()) + "\n" for row in rows]
    whole = {
        "parquet": parquet(pa.Table.from_pylist(rows)), "csv": HEADER + "".join(lines).encode(), "jsonl": jsonl(rows)
    }[form]  # fmt: skip
    refused = 0
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(rng.choice([1, 3, 10])):
            at = rng.randrange(len(content)) if rng.random() < 0.5 else len(content) - 1 - rng.randrange(600)
            content[at] = rng.choice([*b'"\n\r,{}[]\\\x00\xff', rng.randrange(256)])
        (tmp_path / "predictions").write_bytes(content)
        try:
            check_file(tmp_path / "predictions", small_release, Split.TEST)
        except InputError:
            refused += 1
    assert refused > 100
