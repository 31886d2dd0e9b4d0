"""The official prompt of µ-Bench for generative models, to the letter. In: a question and its options; out: text."""

from collections.abc import Sequence
from string import ascii_uppercase

INSTRUCTION = "Answer with a single letter, no extra details."


def render_prompt(text: str, options: Sequence[str]) -> str:
    """Instruction, `Question:` with the question, then one lettered option per line. ValueError past 26."""
    return "\n".join([INSTRUCTION, f"Question:{text}", *letter_options(options)])


def letter_options(options: Sequence[str]) -> list[str]:
    """`A) first`, `B) second`, … as the prompt and the reply parser write them."""
    if len(options) > len(ascii_uppercase):
        raise ValueError(f"{len(options)} options are more than the alphabet has letters")
    return [f"{letter}) {option}" for letter, option in zip(ascii_uppercase, options, strict=False)]
