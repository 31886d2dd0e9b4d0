"""Valid files of every form become the same answers; the fast reading equals the slow definition."""

import csv
import gzip
import io
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluator.answers import ANSWERS
from evaluator.errors import InputError
from evaluator.predictions.check import check_file
from evaluator.predictions.formats import Format
from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from tests.evaluator.predictions.slow import check_rows

COLUMNS = ("dataset", "image_id", "question", "variant", "option", "reply")


@pytest.fixture(scope="module")
def questions(small_release):
    return read_questions(small_release, Split.TEST).to_pylist()


@pytest.fixture(scope="module")
def right_rows(questions):
    """A complete file in question form, answered by text in turn."""
    return [
        {**{name: q[name] for name in COLUMNS[:4]}, "option": q["options"][n % len(q["options"])], "reply": None}
        for n, q in enumerate(q for q in questions if q["variant"] is None)
    ]


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows):
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, pa.schema([(c, pa.int64() if c == "variant" else pa.string()) for c in COLUMNS])),
        sink,
    )
    return sink.getvalue()


FORMS = {Format.JSONL: as_jsonl, Format.CSV: as_csv, Format.PARQUET: as_parquet}


@pytest.fixture
def check(small_release, tmp_path):
    def run(content: bytes, split=Split.TEST, **options):
        (tmp_path / "predictions").write_bytes(content)
        return check_file(tmp_path / "predictions", small_release, split, **options)

    return run


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_every_form_gives_the_same_answers(check, questions, right_rows, form, pack):
    checked = check(pack(FORMS[form](right_rows)))
    assert checked.answers.schema.equals(ANSWERS)
    asked = [q for q in questions if q["variant"] is None]
    for answer, row, question in zip(checked.answers.to_pylist(), right_rows, asked, strict=True):
        assert all(answer[name] == question[name] for name in COLUMNS[:4])
        assert question["options"][answer["chosen"]] == row["option"]
    assert (checked.facts.format, checked.facts.rows, checked.facts.variants) == (form, len(asked), (None,))


def test_rows_may_come_in_any_order(check, right_rows):
    assert check(as_csv(right_rows[::-1])).answers.equals(check(as_csv(right_rows)).answers)


@pytest.mark.parametrize("form", list(Format))
def test_all_variants_may_be_answered_in_one_file(check, questions, form):
    rows = [{**{name: q[name] for name in COLUMNS[:4]}, "option": q["options"][1], "reply": None} for q in questions]
    checked = check(FORMS[form](rows))
    assert checked.facts.variants == (None, 0, 1)
    assert checked.answers["chosen"].to_pylist() == [1] * len(questions)


def test_an_integer_is_an_index_in_json(check, right_rows, small_release):
    rows = [row | {"option": 2} for row in right_rows]
    assert set(check(as_jsonl(rows)).answers["chosen"].to_pylist()) == {2}
    table = pa.Table.from_pylist(rows).drop_columns(["reply", "variant"])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert set(check(sink.getvalue()).answers["chosen"].to_pylist()) == {2}


def test_text_and_index_may_alternate_in_json(check, right_rows):
    rows = [row | {"option": 2} if n % 2 else row for n, row in enumerate(right_rows)]
    chosen = check(as_jsonl(rows)).answers["chosen"].to_pylist()
    assert set(chosen[1::2]) == {2}


def test_in_csv_text_comes_before_index(check, right_rows):
    assert set(check(as_csv([row | {"option": "2"} for row in right_rows])).answers["chosen"].to_pylist()) == {2}


@pytest.mark.parametrize("form", list(Format))
def test_abstentions_are_counted_and_chosen_is_minus_one(check, right_rows, form):
    rows = [right_rows[0] | {"option": None}, *right_rows[1:]]
    checked = check(FORMS[form](rows))
    assert checked.facts.abstained == 1 and checked.facts.unparsed == 0
    assert checked.answers["chosen"].to_pylist()[0] == -1


@pytest.mark.parametrize("form", list(Format))
def test_replies_are_read_strictly_kept_and_counted(check, right_rows, form):
    rows = [row | {"option": None, "reply": "B"} for row in right_rows]
    rows[0] |= {"reply": "I cannot tell."}
    rows[1] |= {"option": right_rows[1]["option"], "reply": "A"}
    checked = check(FORMS[form](rows))
    answers = checked.answers.to_pylist()
    assert [a["chosen"] for a in answers[:3]] == [-1, 1, 1]
    assert [a["text"] for a in answers[:3]] == ["I cannot tell.", "A", "B"]
    assert (checked.facts.abstained, checked.facts.unparsed) == (1, 1)


def test_a_reply_column_alone_is_enough(check, right_rows):
    rows = [{name: row[name] for name in COLUMNS[:3]} | {"reply": "A"} for row in right_rows]
    assert set(check(as_jsonl(rows)).answers["chosen"].to_pylist()) == {0}


def test_a_data_frame_s_floating_variants_are_understood(check, questions):
    rows = [{**{name: q[name] for name in COLUMNS[:4]}, "option": q["options"][1]} for q in questions]
    table = pa.Table.from_pylist(rows)
    table = table.set_column(3, "variant", table["variant"].cast(pa.float64()))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert check(sink.getvalue()).facts.variants == (None, 0, 1)
    text = as_csv([row | {"variant": None if row["variant"] is None else float(row["variant"])} for row in rows])
    assert check(text).facts.variants == (None, 0, 1)


def test_replies_with_line_breaks_quotes_and_bom_survive_csv(check, right_rows):
    rows = [row | {"option": None, "reply": 'Well, "this"\nis\n\nB) ' + "é"} for row in right_rows]
    content = b"\xef\xbb\xbf" + as_csv(rows)
    assert check(content).answers["text"].to_pylist() == [row["reply"] for row in rows]


def test_extra_columns_are_ignored(check, right_rows):
    assert check(as_jsonl([row | {"extra": [1, {"a": 2}]} for row in right_rows])).facts.rows == len(right_rows)
    assert check(as_csv(right_rows).replace(b"\r\n", b",note\r\n")).facts.rows == len(right_rows)


# ---- against the slow definition


def mutate(rows, data, questions):
    """The right rows with a few things changed, dropped, repeated or added."""
    rows = [dict(row) for row in rows]
    some_row = st.integers(0, len(rows) - 1)
    for _ in range(data.draw(st.integers(0, 6))):
        row = rows[data.draw(some_row)]
        name = data.draw(st.sampled_from(COLUMNS))
        other = questions[data.draw(st.integers(0, len(questions) - 1))]
        values = {
            "variant": st.sampled_from([None, 0, 1, 2, -3]),
            "option": st.sampled_from(
                [
                    None,
                    "0",
                    "1",
                    "-1",
                    "+1",
                    "99",
                    "9" * 18,
                    "9" * 19,
                    "--1",
                    "1\n",
                    "nan",
                    "no such",
                    other["options"][0],
                    " 1",
                ]
            ),
            "reply": st.sampled_from([None, "A", "B)", "nonsense", "\u00e9\n"]),
        }
        row[name] = data.draw(values.get(name, st.sampled_from([None, "nowhere", "x y", other.get(name), "img_00000"])))
    for _ in range(data.draw(st.integers(0, 2))):
        rows.append(dict(rows[data.draw(some_row)]))
    if data.draw(st.booleans()):
        del rows[data.draw(some_row)]
    return rows


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_checking_equals_the_slow_definition(check, small_release, questions, right_rows, data):
    form = data.draw(st.sampled_from(list(Format)))
    rows = mutate(right_rows, data, questions)
    expected = check_rows(rows, small_release, Split.TEST, is_csv=form is Format.CSV)
    try:
        answers = check(FORMS[form](rows)).answers
    except InputError as error:
        assert error.counts == expected
        assert [p.row for p in error.problems if p.row] == sorted(p.row for p in error.problems if p.row)
    else:
        ids = zip(*(answers[name].to_pylist() for name in COLUMNS[:4]), strict=True)
        assert dict(zip(ids, answers["chosen"].to_pylist(), strict=True)) == expected


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_the_careful_reader_agrees_with_the_fast_one(check, questions, right_rows, data):
    """One line that the fast reader cannot take sends the whole file to the careful one; all else stays the same."""
    form = data.draw(st.sampled_from([Format.JSONL, Format.CSV]))
    rows = mutate(right_rows, data, questions)
    broken = b"{\n" if form is Format.JSONL else b"only,three,fields\n"

    def outcome(content):
        try:
            return Counter(), check(content).answers
        except InputError as error:
            return Counter(error.counts), None

    fast, answers = outcome(FORMS[form](rows))
    careful, _ = outcome(FORMS[form](rows) + broken)
    del careful["bad_json"], careful["bad_csv"]
    if answers is None and "nothing_answered" not in fast and "empty_file" not in fast:
        assert careful == fast
