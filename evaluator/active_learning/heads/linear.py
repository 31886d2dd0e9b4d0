"""A fitted head. In: features; out: probabilities, with dropout or without. What every kind of training ends in."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearHead:
    """logits = z · weightᵀ + bias with z = (x − shift) · scale; `dropout` is that of the training, on x.

    shift, scale: (d,); weight: (C, d); bias: (C,).
    """

    shift: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor
    dropout: float

    @property
    def n_classes(self) -> int:
        return len(self.bias)

    def embed(self, features: Tensor) -> Tensor:
        """(n, d) z: what the last layer sees."""
        return (features - self.shift) * self.scale

    def probabilities(self, features: Tensor) -> Tensor:
        """(n, C), without dropout: rows sum to 1."""
        return torch.softmax(self.embed(features) @ self.weight.T + self.bias, dim=1)

    def stochastic(self, features: Tensor, passes: int, generator: torch.Generator) -> Tensor:
        """(passes, n, C) probabilities, each pass with a dropout mask of its own on every feature."""
        kept = 1 - self.dropout
        found = []
        for _ in range(passes):
            mask = torch.rand(features.shape, generator=generator, device=features.device) < kept
            found.append(self.probabilities(features * mask / kept))
        return torch.stack(found)
