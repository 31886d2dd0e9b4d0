"""A fitted head. In: features; out: probabilities, with dropout or without. What every kind of training ends in."""

from dataclasses import dataclass

import torch
from torch import Tensor

from evaluator.active_learning.dropout import kept

CACHED = 2**17  # numbers that a processor multiplies and sums up before they leave its cache


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
        return (features - self.shift).mul_(self.scale)

    def probabilities(self, features: Tensor) -> Tensor:
        """(n, C), without dropout: rows sum to 1."""
        return torch.softmax(torch.addmm(self.bias, self.embed(features), self.weight.T), dim=1)

    def stochastic(self, features: Tensor, passes: int, generator: torch.Generator) -> Tensor:
        """(passes, n, C) probabilities, each pass with a dropout mask of its own on every feature."""
        scaled = self.weight * self.scale  # once per head, not per image
        bias = self.bias - scaled @ self.shift
        by_kept = (scaled / (1 - self.dropout)).T
        is_cached = features.device.type == "cpu"
        parts = features.split(max(1, CACHED // features.shape[1]) if is_cached else max(1, len(features)))
        return torch.stack([
            torch.cat([
                torch.addmm(bias, part * kept(tuple(part.shape), self.dropout, generator), by_kept) for part in parts
            ]).softmax(dim=1)
            for _ in range(passes)
        ])  # fmt: skip
