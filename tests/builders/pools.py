"""Small pools, heads and states for tests of strategies."""

import torch
from torch import Tensor

from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.state import State


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(n: int = 60, d: int = 4, n_classes: int = 4, *, seed: int = 0, apart: float = 1.5) -> tuple[Tensor, Tensor]:
    """(n, d) points of `n_classes` overlapping groups off the origin, and their (n,) groups in random order."""
    generator = seeded(seed)
    labels = torch.randint(n_classes, (n,), generator=generator)
    centres = apart * torch.randn(n_classes, d, generator=generator)
    return centres[labels] + torch.randn(n, d, generator=generator) + 0.5, labels


def mean_head(
    features: Tensor, labels: Tensor, n_classes: int, *, dropout: float = 0.75, sharp: float = 1
) -> LinearHead:
    """Nearest class mean of standardised features, as a linear head; a class without points gets a low bias."""
    scale = 1 / features.std(dim=0).clamp(min=0.1)
    shift = features.mean(dim=0)
    embedded = (features - shift) * scale
    weight, bias = torch.zeros(n_classes, features.shape[1]), torch.full((n_classes,), -3.0)
    for seen in torch.unique(labels).tolist():
        weight[seen] = embedded[labels == seen].mean(dim=0)
        bias[seen] = -weight[seen].square().sum() / 2
    return LinearHead(shift=shift, scale=scale, weight=sharp * weight, bias=sharp * bias, dropout=dropout)


def a_state(
    *, n: int = 60, d: int = 4, n_classes: int = 4, held: int = 12, count: int = 7, seed: int = 0,
    dropout: float = 0.75, sharp: float = 1,
) -> State:  # fmt: skip
    """A pool of `blobs` with `held` labels in random places and a head from them. Each call gives a fresh generator."""
    features, labels = blobs(n, d, n_classes, seed=seed)
    labelled = torch.randperm(n, generator=seeded(seed))[:held]
    head = mean_head(features[labelled], labels[labelled], n_classes, dropout=dropout, sharp=sharp)
    return State(pool=Pool(features=features, n_classes=n_classes), labelled=labelled, labels=labels[labelled],
                 head=head, count=count, generator=seeded(seed))  # fmt: skip
