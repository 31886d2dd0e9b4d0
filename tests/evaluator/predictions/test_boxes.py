"""Boxes in prediction files: every form reads the same, faults equal the slow definition, tasks are whole or absent."""

import csv
import io
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluator.answers import ANSWER_BOX, ANSWERS
from evaluator.errors import InputError
from evaluator.predictions.check import check_file
from evaluator.predictions.formats import Format
from evaluator.predictions.limits import Limits
from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from evaluator.release.tasks import is_cognition_kind
from tests.evaluator.predictions.slow import check_rows

NAMES = ("dataset", "image_id", "question", "variant")
COLUMNS = (*NAMES, "option", "reply", "boxes")
PARQUET = pa.schema([
    *[(name, pa.int64() if name == "variant" else pa.string()) for name in COLUMNS[:-1]],
    ("boxes", pa.list_(ANSWER_BOX)),
])  # fmt: skip


@pytest.fixture(scope="module")
def questions(boxed_release):
    return read_questions(boxed_release, Split.TEST).to_pylist()


@pytest.fixture(scope="module")
def rows(questions):
    """A complete file: question forms by their first option, boxes of each class in turn."""
    found = []
    for place, q in enumerate(q for q in questions if q["variant"] is None):
        row = {**{name: q[name] for name in NAMES}, "option": q["options"][0], "reply": None, "boxes": None}
        if q["question"] == "localisation":
            boxes = [
                {"class": name, "x1": 1 + place % 3, "y1": 0.5, "x2": 7.25, "y2": 12, "score": 0.5}
                for name in q["options"][: place % 3]
            ]
            row |= {"option": None, "boxes": boxes}
        found.append(row)
    return found


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow(row | {"boxes": None if row["boxes"] is None else json.dumps(row["boxes"])})
    return text.getvalue().encode()


def as_parquet(rows, schema=PARQUET):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), sink)
    return sink.getvalue()


FORMS = {Format.JSONL: as_jsonl, Format.CSV: as_csv, Format.PARQUET: as_parquet}


@pytest.fixture
def check(boxed_release, tmp_path):
    def run(content: bytes, **options):
        (tmp_path / "predictions").write_bytes(content)
        return check_file(tmp_path / "predictions", boxed_release, Split.TEST, **options)

    return run


def refusal(check, content, **options) -> Counter:
    with pytest.raises(InputError) as refused:
        check(content, **options)
    return Counter(refused.value.counts)


def only(rows, *parts):
    """The rows of the core tasks and of these parts: cognition, or a dataset's boxes."""

    def belongs(row):
        if is_cognition_kind(row["question"]):
            return "cognition" in parts
        return row["question"] != "localisation" or row["dataset"] in parts

    return [row for row in rows if belongs(row)]


@pytest.mark.parametrize("form", list(Format))
def test_every_form_gives_the_same_boxes(check, rows, form):
    checked = check(FORMS[form](rows))
    assert checked.answers.schema.equals(ANSWERS)
    assert checked.facts.variants == (None,)
    assert checked.facts.tasks_beside == ("cognition", "localisation-cells_a", "localisation-cells_b")
    for answer, row in zip(checked.answers.to_pylist(), rows, strict=True):
        assert (answer["boxes"], answer["chosen"]) == (row["boxes"], 0)
    assert any(len(row["boxes"] or ()) > 1 for row in rows) and [] in [row["boxes"] for row in rows]


def test_a_data_frame_s_boxes_are_understood_whatever_their_fields_types_and_order(check, rows):
    plain = [row | {"boxes": row["boxes"] and [{k: v for k, v in b.items() if k != "score"} for b in row["boxes"]]}
             for row in rows]  # fmt: skip
    expected = check(as_jsonl(plain)).answers
    box = pa.struct([("y2", pa.int64()), ("extra", pa.string()), ("class", pa.large_string()), ("x1", pa.float32()),
                     ("x2", pa.float32()), ("y1", pa.float64())])  # fmt: skip
    schema = PARQUET.set(6, pa.field("boxes", pa.large_list(box)))
    assert check(as_parquet(plain, schema)).answers.equals(expected)


@pytest.mark.parametrize("form", list(Format))
def test_a_box_may_stick_out_by_a_pixel_and_is_cut(check, rows, form):
    place = next(n for n, row in enumerate(rows) if row["boxes"])
    changed = [dict(row) for row in rows]
    changed[place]["boxes"] = [{"class": rows[place]["boxes"][0]["class"], "x1": -1, "y1": 3, "x2": 12.75, "y2": 13}]
    found = check(FORMS[form](changed)).answers.to_pylist()[place]["boxes"][0]
    assert (found["x1"], found["y1"], found["x2"], found["y2"], found["score"]) == (0.0, 3.0, 12.0, 12.0, None)


@pytest.mark.parametrize("form", list(Format))
def test_abstaining_differs_from_finding_nothing(check, rows, form):
    place = next(n for n, row in enumerate(rows) if row["boxes"])
    for boxes, chosen, abstained in ((None, -1, 1), ([], 0, 0)):
        checked = check(FORMS[form]([row | {"boxes": boxes} if n == place else row for n, row in enumerate(rows)]))
        answer = checked.answers.to_pylist()[place]
        assert (answer["chosen"], answer["boxes"], checked.facts.abstained) == (chosen, boxes, abstained)


def test_cognition_and_each_localisation_task_may_be_left_out_whole(check, rows):
    for parts in ((), ("cognition",), ("cells_b",), ("cells_a", "cognition")):
        checked = check(as_jsonl(only(rows, *parts)))
        slugs = sorted("cognition" if part == "cognition" else f"localisation-{part}" for part in parts)
        assert checked.facts.tasks_beside == tuple(slugs)


def test_a_part_of_a_task_is_refused(check, rows):
    for kind in ("localisation", "cognition_0", "stain"):
        place = next(n for n, row in enumerate(rows) if row["question"] == kind)
        assert refusal(check, as_jsonl(rows[:place] + rows[place + 1 :])) == {"missing_answer": 1}


def test_captions_may_stand_beside_boxes_and_cognition(check, rows, questions):
    core = [
        {**{name: q[name] for name in NAMES}, "option": 0, "reply": None, "boxes": None}
        for q in questions if q["variant"] == 1
    ]  # fmt: skip
    beside = [row for row in rows if row["question"].startswith(("cognition", "localisation"))]
    checked = check(as_jsonl(core + beside))
    assert checked.facts.variants == (1,) and len(checked.facts.tasks_beside) == 3


def test_boxes_alone_are_refused_in_one_sentence(check, rows):
    alone = [row for row in rows if row["question"] == "localisation"]
    assert refusal(check, as_jsonl(alone)) == {"core_tasks_missing": 1}


def test_a_thousand_boxes_with_every_digit_fit_a_line(check, rows):
    place = next(n for n, row in enumerate(rows) if row["boxes"])
    box = {"class": rows[place]["boxes"][0]["class"], "x1": 1.1234567890123456, "y1": 2.1234567890123456,
           "x2": 3.1234567890123456, "y2": 4.1234567890123456, "score": 0.12345678901234567}  # fmt: skip
    for form, write in FORMS.items():
        for n, refused in ((1000, None), (1001, {"too_many_boxes": 1})):
            content = write([row | {"boxes": [box] * n} if at == place else row for at, row in enumerate(rows)])
            if refused is None:
                assert check(content).answers["boxes"][place].as_py() == [box] * n, form
            else:
                assert refusal(check, content) == refused, form


def test_parquet_that_claims_millions_of_boxes_is_refused_before_it_is_read(check, rows):
    place = next(n for n, row in enumerate(rows) if row["boxes"])
    many = [row | {"boxes": row["boxes"][:1] * 5_000} if at == place else row for at, row in enumerate(rows)]
    assert refusal(check, as_parquet(many), limits=Limits(boxes=4_000)) == {"too_many_boxes": 1}
    assert refusal(check, as_parquet(many)) == {"too_many_boxes": 1}  # of one image


def test_a_long_class_repeated_in_parquet_is_refused(check, rows):
    place = next(n for n, row in enumerate(rows) if row["boxes"])
    box = rows[place]["boxes"][0] | {"class": "x" * 600_000}
    many = [row | {"boxes": [box] * 900} if at == place else row for at, row in enumerate(rows)]
    assert refusal(check, as_parquet(many)) == {"text_too_long": 1}


def test_parquet_columns_that_hold_no_boxes_are_refused(check, rows):
    for kind in (pa.list_(pa.list_(pa.float64())), pa.int64(), pa.list_(pa.struct([("class", pa.string())]))):
        schema = PARQUET.set(6, pa.field("boxes", kind))
        assert refusal(check, as_parquet([row | {"boxes": None} for row in rows], schema)) == {"bad_type": 1}


# ---- against the slow definition


def mutate(rows, data):
    rows = [dict(row) for row in rows]
    boxed = [n for n, row in enumerate(rows) if row["question"] == "localisation"]
    number = st.sampled_from([None, -9.0, -1.5, -1.0, -0.5, 0.0, 3.0, 7.5, 11.5, 12.0, 12.75, 13.0, 14.0, 1e30])
    for _ in range(data.draw(st.integers(0, 5))):
        row = rows[data.draw(st.sampled_from(boxed))]
        row["boxes"] = data.draw(st.sampled_from([None, [], row["boxes"] or [], (row["boxes"] or [])[:1] * 3]))
        for place in range(len(row["boxes"] or ())):
            box = dict(row["boxes"][place])
            name = data.draw(st.sampled_from(["x1", "y1", "x2", "y2", "score", "class"]))
            box[name] = data.draw(st.sampled_from([None, "cell", "object", "axon"]) if name == "class" else number)
            row["boxes"] = [*row["boxes"][:place], box, *row["boxes"][place + 1 :]]
    for _ in range(data.draw(st.integers(0, 2))):
        row = rows[data.draw(st.integers(0, len(rows) - 1))]
        name = data.draw(st.sampled_from(["option", "reply", "boxes", "question"]))
        row[name] = data.draw({
            "option": st.sampled_from([None, "0", "cell", "nucleus"]), "reply": st.sampled_from([None, "A"]),
            "boxes": st.just([{"class": "cell", "x1": 1.0, "y1": 1.0, "x2": 2.0, "y2": 2.0, "score": None}]),
            "question": st.sampled_from(["localisation", "cognition_0", "cognition_1", "cognition_2"]),
        }[name])  # fmt: skip
    if data.draw(st.booleans()):
        left_out = data.draw(st.sampled_from(["localisation", "cognition_0", "cognition", "stain"]))
        rows = [row for row in rows if not row["question"].startswith(left_out)]
    return rows


def outcome(check, content):
    try:
        return check(content).answers
    except InputError as error:
        return Counter(error.counts)


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_checking_boxes_equals_the_slow_definition(check, boxed_release, rows, data):
    form = data.draw(st.sampled_from(list(Format)))
    changed = mutate(rows, data)
    expected = check_rows(changed, boxed_release, Split.TEST, is_csv=form is Format.CSV)
    found = outcome(check, FORMS[form](changed))
    if isinstance(found, Counter):
        assert found == expected
        return
    answers = found.to_pylist()
    assert {tuple(a[name] for name in NAMES): a["boxes"] if a["boxes"] is not None else a["chosen"] for a in answers} \
        == expected  # fmt: skip
    for answer in answers:
        asks_boxes = answer["question"] == "localisation"
        assert answer["chosen"] == (0 if answer["boxes"] is not None else -1) if asks_boxes else answer["boxes"] is None


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_the_careful_reader_agrees_with_the_fast_one_on_boxes(check, rows, data):
    form = data.draw(st.sampled_from([Format.JSONL, Format.CSV]))
    changed = mutate(rows, data)
    broken = b"{\n" if form is Format.JSONL else b"only,three,fields\n"
    fast, careful = outcome(check, FORMS[form](changed)), outcome(check, FORMS[form](changed) + broken)
    del careful["bad_json"], careful["bad_csv"]
    if not isinstance(fast, Counter):
        assert not careful
    elif not {"nothing_answered", "empty_file", "core_tasks_missing"} & set(fast):
        assert careful == fast
