"""The strict parser takes a letter or exactly one lettered option, and nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.predictions.replies import parse_reply

CELLS = ["basophil", "cell", "cell wall", "none of the above"]


@pytest.mark.parametrize(
    ("reply", "index"),
    [
        ("A", 0), ("b", 1), (" (C) ", 2), ("D.", 3), ("B)", 1), ("B:", 1), ("A\n", 0),
        ("A) basophil", 0), ("The answer is B) cell.", 1), ("C) cell wall", 2), ("B) cell\nB) cell", 1),
        ("E", None), ("", None), ("AB", None), ("A B", None), ("An answer", None), ("basophil", None), ("1", None),
        ("A) basophil or B) cell", None), ("A) cell", None), ("B) cells", None), ("xB) cell", None), ("b) cell", None),
        ("I do not know", None), ("\u0391", None),
    ],
)  # fmt: skip
def test_replies(reply, index):
    assert parse_reply(reply, CELLS) == index


OPTIONS = st.lists(st.text("abc *.(", min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=8, unique=True)


@given(OPTIONS, st.data())
def test_whatever_the_options_their_own_lettered_form_is_understood(options, data):
    index = data.draw(st.integers(0, len(options) - 1))
    others = [o for i, o in enumerate(options) if i != index]
    reply = f"{'ABCDEFGH'[index]}) {options[index]}"
    if not any(re.search(r"[A-H]\)", other) for other in others):
        assert parse_reply(reply, options) == index
    assert parse_reply("ABCDEFGH"[index], options) == index


@given(st.text(), OPTIONS)
def test_any_reply_gives_an_option_or_none(reply, options):
    index = parse_reply(reply, options)
    assert index is None or 0 <= index < len(options)
