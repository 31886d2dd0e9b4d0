"""The strict reading of a model's raw reply. In: reply text and options; out: an option index or None."""

import re
from collections.abc import Sequence
from string import ascii_uppercase

from evaluator.release.prompts import letter_options

LETTER = re.compile(r"\(?([A-Za-z])[).:]?")


def parse_reply(reply: str, options: Sequence[str]) -> int | None:
    """The option that the reply chose, or None when it cannot be told.

    Accepted: a single letter (`B`, `b`, `(B)`, `B.`, `B)`, `B:`), or a text in which exactly one of the lettered
    options (`B) basophil`) stands, once or often, exactly as the prompt wrote it. Everything else is a parse failure.
    """
    text = reply.strip()
    if single := LETTER.fullmatch(text):
        index = ascii_uppercase.index(single[1].upper())
        return index if index < len(options) else None
    named = [index for index, lettered in enumerate(letter_options(options)) if _stands_in(lettered, reply)]
    return named[0] if len(named) == 1 else None


def _stands_in(lettered: str, text: str) -> bool:
    """Whether the lettered option stands in the text as words of its own (`B) cell` does not stand in `B) cells`)."""
    return re.search(rf"(?<!\w){re.escape(lettered)}(?!\w)", text) is not None
