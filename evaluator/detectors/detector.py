"""What every detector can do, whatever it is built from. In: whole images and names of classes; out: places."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

PROMPT = "{}"  # the class's name alone, as µ-Bench prompts detectors; it names the thing, not "a photo of" it


@dataclass(frozen=True, kw_only=True)
class Places:
    """Every place of one image where the model could see something. boxes (n, 4): float32 x1, y1, x2, y2 in pixels of
    the image as it is stored, possibly beyond its edges. logits (n, classes): float32, how much of each class is there.

    A model whose numbers overflow gives NaN or infinite ones here; who asked must look.
    """

    boxes: NDArray[np.float32]
    logits: NDArray[np.float32]


class Detector(Protocol):
    """A loaded model with what belongs to it."""

    @property
    def context_length(self) -> int:
        """The most tokens of a prompt that the model sees."""
        ...

    @property
    def n_places(self) -> int:
        """How many places of an image it looks at: what an image costs."""
        ...

    def n_tokens(self, text: str) -> int:
        """How long `text` is, special tokens included; what exceeds the context is cut off by the tokenizer's rule."""
        ...

    def embed_prompts(self, prompts: Sequence[str]) -> torch.Tensor:
        """(prompts, d), on the device: what `look` wants of the classes of one list, in their order."""
        ...

    def look(self, images: Sequence[Image.Image], queries: Sequence[torch.Tensor]) -> list[Places]:
        """The places of a batch of RGB images; image i is searched for the classes `queries[i]`."""
        ...
