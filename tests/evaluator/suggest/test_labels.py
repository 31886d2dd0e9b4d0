"""Labels as CSV: every fault at once, and back again."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.errors import InputError
from evaluator.suggest.labels import parse_labels

IDS = ["a.png", "b/ä, 2.tif", "c.png"]


def test_every_fault_is_named_with_its_row() -> None:
    content = (
        "id,label\na.png,cell\nA.png,cell\nc.png,\n\na.png,nucleus\na.png,cell\nc.png\nc.png,x,y\n"
        + f"c.png,{'x' * 201}\n"
    )
    with pytest.raises(InputError) as caught:
        parse_labels(content.encode(), IDS)
    assert sorted((problem.row, problem.code) for problem in caught.value.problems) == [
        (2, "unknown_id"), (3, "empty_label"), (5, "contradicting_labels"), (7, "row_shape"), (8, "row_shape"),
        (9, "label_too_long"),
    ]  # fmt: skip


@pytest.mark.parametrize(("content", "code"), [
    (b"", "no_header"), (b"a.png,cell\n", "no_header"), (b"id;label\na.png;cell\n", "no_header"),
    (b"id,label\n\xe9,cell\n", "labels_unreadable"), (b'id,label\n"a.png,cell\n', "labels_unreadable"),
    (b"id,label\n" + b"a.png," + b"x" * 140_000 + b"\n", "labels_unreadable"),
])  # fmt: skip
def test_what_is_no_labels_file_is_refused_as_one(content: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_labels(content, IDS)
    assert caught.value.counts == {code: 1}


def test_what_a_spreadsheet_writes_is_read() -> None:
    content = '\ufeffID , Label,notes\r\n"b/ä, 2.tif", cell ,?\r\n,,\r\na.png,cell,\r\n'.encode()
    assert parse_labels(content, IDS) == {"b/ä, 2.tif": "cell", "a.png": "cell"}
    assert parse_labels(b"id,label\n", IDS) == {}


text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(text, text.map(str.strip).filter(bool), max_size=8))
def test_any_label_comes_back(labels: dict[str, str]) -> None:
    file = io.StringIO()
    csv.writer(file).writerows([("id", "label"), *labels.items()])
    assert parse_labels(file.getvalue().encode(), labels) == labels
