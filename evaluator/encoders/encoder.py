"""What every contrastive model can do, whatever it is built from. In: crops and texts; out: unit-length embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from evaluator.architectures.architecture import Preprocessing


class Encoder(Protocol):
    """A loaded model with what belongs to it. Embeddings are float32, unit length, (n, d), on the CPU.

    A model whose numbers overflow gives NaN embeddings here; who asked must look. Encoders are frozen dataclasses with
    a field `precision`, so that the same model can be asked in another one.
    """

    @property
    def context_length(self) -> int:
        """The most tokens of a text that the model sees."""
        ...

    def n_tokens(self, text: str) -> int:
        """How long `text` is, special tokens included; what exceeds the context is cut off by the tokenizer's rule."""
        ...

    def encode_images(self, crops: NDArray[np.uint8]) -> torch.Tensor:
        """Embed one batch of crops (n, crop_px, crop_px, 3)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Embed one batch of texts."""
        ...


@dataclass(frozen=True, kw_only=True)
class Normaliser:
    """Crops as a model's input: scaled to 0 … 1, less the mean, by the deviation, as ToTensor and Normalize do it."""

    preprocessing: Preprocessing
    device: torch.device

    def __call__(self, crops: NDArray[np.uint8]) -> torch.Tensor:
        """(n, h, w, 3) uint8 → (n, 3, h, w) float32 on the device."""
        pixels = torch.from_numpy(np.array(crops)).to(self.device).permute(0, 3, 1, 2).contiguous()
        mean, std = (
            torch.tensor(values, dtype=torch.float32, device=self.device).view(3, 1, 1)
            for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        return pixels.to(torch.float32).div(255).sub_(mean).div_(std)


def unit_length(embedded: torch.Tensor) -> torch.Tensor:
    """(n, d) as float32 of unit length on the CPU."""
    return torch.nn.functional.normalize(embedded.float(), dim=-1).cpu()
