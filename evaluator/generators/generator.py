"""What every generative model can do, whatever it is built from. In: images and prompts; out: replies or letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class AskedImage:
    """One RGB image and the prompts about it, each rendered to the letter. n_options: how many options each has."""

    image: Image.Image
    prompts: tuple[str, ...]
    n_options: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """`text` as generated, special tokens left out. finished: the model ended it; False: it was cut off."""

    text: str
    finished: bool


class Generator(Protocol):
    """A loaded model with what belongs to it.

    Results are per image and prompt, in the order given. None: the prompt, with the image, does not fit into the
    context with room for an answer, so it was not put to the model. A prompt is never cut: that would take options
    away. Raises EvaluationFailed `non_finite_output` when the model's logits are NaN or infinite.
    """

    def reply(self, asked: Sequence[AskedImage], max_new_tokens: int) -> list[list[Reply | None]]:
        """The greedy reply to each prompt, at most `max_new_tokens` tokens long."""
        ...

    def score_letters(self, asked: Sequence[AskedImage]) -> list[list[NDArray[np.float32] | None]]:
        """For each prompt the log-probability, over the whole vocabulary, of each option's letter as the next token,
        float32 (n_options,)."""
        ...
