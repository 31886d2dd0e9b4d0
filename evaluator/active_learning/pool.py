"""The images that may be labelled. In: features; out: Pool, with what strategies need of the features alone."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """features: (n, d) float32, as the encoder gave them, finite (evaluator.active_learning.checks)."""

    features: Tensor
    n_classes: int

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def directions(self) -> Tensor:
        """(n, d) the features at unit length; a feature of length 0 stays 0."""
        return functional.normalize(self.features, dim=1)

    @cached_property
    def everyone(self) -> Tensor:
        """(n,) all ids: the rows of `features`."""
        return torch.arange(len(self), device=self.features.device)
