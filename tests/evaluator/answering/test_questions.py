"""Which rows a protocol asks: captions take cognition along, nothing but a detector is asked for boxes."""

import pyarrow as pa
import pytest

from evaluator.answering.families.localisation import ask_localisation
from evaluator.answering.questions import ask
from evaluator.answers import Protocol
from evaluator.errors import InputError
from evaluator.release.schema import ITEMS, QUESTIONS

ROWS: list[tuple[str, str, int | None, str | None, list[str]]] = [
    ("b", "stain", None, "Which stain?", ["H&E", "none"]),
    ("b", "stain", 0, None, ["An H&E stain.", "No stain."]),
    ("b", "stain", 1, None, ["Stained with H&E.", "Unstained."]),
    ("b", "localisation", None, None, ["cell", "nucleus"]),
    ("a", "cognition_0", None, "How many cells?", ["one", "two"]),
    ("a", "localisation", None, None, ["cell", "nucleus"]),
]
ITEM_TABLE = pa.Table.from_pylist(
    [{"dataset": "set", "image_id": name, "file": f"images/dev/{name}.png", "width": 9, "height": 9} for name in "ab"],
    ITEMS,
)


def table(rows: list[tuple[str, str, int | None, str | None, list[str]]]) -> pa.Table:
    names = ("image_id", "question", "variant", "text", "options")
    return pa.Table.from_pylist([{"dataset": "set", **dict(zip(names, row, strict=True))} for row in rows], QUESTIONS)


def test_captions_ask_captions_and_cognition_in_question_form() -> None:
    asked = ask(ITEM_TABLE, table(ROWS), Protocol.CAPTIONS)
    assert asked.rows.to_pylist() == table([ROWS[1], ROWS[2], ROWS[4]]).to_pylist()
    assert [asked.texts[i] for i in asked.text_of] == [
        "An H&E stain.", "No stain.", "Stained with H&E.", "Unstained.", "How many cells? one", "How many cells? two",
    ]  # fmt: skip
    assert asked.image_of.tolist() == [1, 1, 0]
    assert asked.offsets.tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize("protocol", [Protocol.QUESTIONS, Protocol.LETTER])
def test_question_forms_are_asked_without_localisation(protocol: Protocol) -> None:
    asked = ask(ITEM_TABLE, table(ROWS), protocol)
    assert asked.rows["question"].to_pylist() == ["stain", "cognition_0"]
    assert asked.texts == ["Which stain? H&E", "Which stain? none", "How many cells? one", "How many cells? two"]


def test_a_question_without_text_is_its_options_alone() -> None:
    assert ask(ITEM_TABLE, table([("a", "stain", None, None, ["H&E", "none"])]), Protocol.QUESTIONS).texts == [
        "H&E", "none",
    ]  # fmt: skip


def test_cognition_alone_is_not_a_release_with_captions() -> None:
    with pytest.raises(InputError, match="nothing_to_ask.*questions"):
        ask(ITEM_TABLE, table(ROWS[4:]), Protocol.CAPTIONS)


def test_cognition_alone_is_asked_only_where_there_is_nothing_else() -> None:
    captions_and_cognition = table([ROWS[1], ROWS[2], ROWS[4]])
    with pytest.raises(InputError, match="nothing_to_ask.*captions"):
        ask(ITEM_TABLE, captions_and_cognition, Protocol.QUESTIONS)
    assert ask(ITEM_TABLE, table(ROWS[4:]), Protocol.QUESTIONS).rows["question"].to_pylist() == ["cognition_0"]


def test_a_detector_is_asked_for_every_class_on_every_image_in_canonical_order() -> None:
    asked = ask_localisation(ITEM_TABLE, table(ROWS))
    assert asked.rows["image_id"].to_pylist() == ["b", "a"]
    assert asked.image_of.tolist() == [1, 0]
    assert asked.classes == [["cell", "nucleus"], ["cell", "nucleus"]]


def test_nothing_to_localise_is_said() -> None:
    with pytest.raises(InputError, match="nothing_to_ask"):
        ask_localisation(ITEM_TABLE, table(ROWS[:3]))
    with pytest.raises(ValueError, match="items table"):
        ask_localisation(ITEM_TABLE.slice(0, 1), table(ROWS))
