"""The head of Gupte et al. 2024: dropout 0.75, batch normalisation without affine, a linear layer. In: labelled
features of many runs; out: their heads.

Only the linear layer has parameters and nothing before it does, so the gradient is written out: with z the normalised
input and g = w · (p − onehot) / Σw, it is gᵀz for the weights and Σg for the biases. Runs with equally many labels are
trained as one batch of which each row is what the run would be alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from evaluator.active_learning.dropout import kept
from evaluator.active_learning.heads.linear import LinearHead

DROPOUT = 0.75
LEARNING_RATE, DECAY, BETAS, ADAM_EPS = 1e-2, 1e-2, (0.9, 0.999), 1e-8
MOMENTUM, NORM_EPS = 0.1, 1e-5  # of batch normalisation, torch's defaults
EPOCHS, PATIENCE, IMPROVEMENT = 400, 20, 1e-3
CACHED, ROOM = 2**18, 2**26  # features handled at once: what a processor's cache holds, what leaves a GPU room


def fit_paper(
    features: Sequence[Tensor], labels: Sequence[Tensor], n_classes: int, *, generators: Sequence[torch.Generator],
    weights: Sequence[Tensor] | None = None,
) -> list[LinearHead]:  # fmt: skip
    """One head per run.

    features: (m_i, d) of the labelled points, m_i ≥ 1; labels: (m_i,), 0 … n_classes − 1; generators: one per run, on
    the device of the features; weights: (m_i,) ≥ 0 with a positive sum, how much each point counts (default alike).
    Full batches, AdamW on everything; stops when the epoch's training cross-entropy has not fallen by 1e-3 for 20
    epochs, after at most 400; gives the state after the epoch with the lowest one. Its normalisation is that of
    training: running statistics of dropped-out features. A single point has no spread to normalise by: its head
    learns the bias alone, weights 0, so it answers that point's class everywhere.
    """
    weights = weights or [torch.ones_like(some, dtype=torch.float32) for some in labels]
    heads: list[LinearHead | None] = [None] * len(features)
    for runs in _alike(features):
        found = _fit_alike(
            torch.stack([features[run] for run in runs]), torch.stack([labels[run] for run in runs]),
            torch.stack([weights[run] for run in runs]), n_classes, [generators[run] for run in runs],
        )  # fmt: skip
        for run, head in zip(runs, found, strict=True):
            heads[run] = head
    return [head for head in heads if head is not None]


def _alike(features: Sequence[Tensor]) -> Iterator[list[int]]:
    """Places of runs that are trained as one batch: equally many points, and not more numbers than are handled well."""
    for size in sorted({len(some) for some in features}):
        runs = [run for run, some in enumerate(features) if len(some) == size]
        numbers = CACHED if features[0].device.type == "cpu" else ROOM
        step = max(1, numbers // (size * features[0].shape[1]))
        yield from (runs[first : first + step] for first in range(0, len(runs), step))


def first_parameters(n_points: int, dim: int, n_classes: int, generator: torch.Generator) -> Tensor:
    """(C·d + C,) weights, then biases, uniform in ±1/√d as torch's linear layer has them; weights 0 for one point."""
    drawn = torch.rand(n_classes * (dim + 1), generator=generator, device=generator.device)
    parameters = (2 * drawn - 1) / dim**0.5
    if n_points == 1:
        parameters[: n_classes * dim] = 0
    return parameters


@dataclass(kw_only=True, eq=False)
class _Runs:
    """Everything that belongs to the runs still in training: one row per run in each tensor."""

    features: Tensor  # (R, m, d), as they are where dropout keeps them: 1 / (1 − p) as large
    targets: Tensor  # (R, m, C) one-hot
    weights: Tensor  # (R, m, 1), sum 1 per run
    parameters: Tensor  # (R, C·d + C)
    first_moment: Tensor
    second_moment: Tensor
    mean: Tensor  # (R, 1, d) running
    variance: Tensor
    best_parameters: Tensor
    best_mean: Tensor
    best_variance: Tensor
    lowest: Tensor  # (R,) training loss: of the state that is kept
    reference: Tensor  # (R,) the loss that the next must undercut by IMPROVEMENT
    waited: Tensor  # (R,) epochs since that happened
    run: Tensor  # (R,) place in the batch as it came

    def only(self, rows: Tensor) -> "_Runs":
        return _Runs(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def _fit_alike(
    features: Tensor, labels: Tensor, weights: Tensor, n_classes: int, generators: Sequence[torch.Generator]
) -> list[LinearHead]:
    runs = _begin(features, labels, weights, n_classes, generators)
    heads: dict[int, LinearHead] = {}
    for epoch in range(1, EPOCHS + 1):
        _train_one_epoch(runs, epoch, [generators[run] for run in runs.run.tolist()])
        is_over = (runs.waited >= PATIENCE) | (epoch == EPOCHS)
        if not is_over.any():
            continue
        heads |= _heads_of(runs.only(is_over), n_classes)
        if is_over.all():
            break
        runs = runs.only(~is_over)
    return [heads[run] for run in range(len(generators))]


def _begin(
    features: Tensor, labels: Tensor, weights: Tensor, n_classes: int, generators: Sequence[torch.Generator]
) -> _Runs:
    n_runs, n_points, dim = features.shape
    drawn = [first_parameters(n_points, dim, n_classes, some) for some in generators]
    parameters = torch.stack(drawn).to(features.dtype)
    mean, variance = features.new_zeros(n_runs, 1, dim), features.new_ones(n_runs, 1, dim)
    endless = features.new_full((n_runs,), torch.inf)
    return _Runs(
        features=features / (1 - DROPOUT), targets=functional.one_hot(labels, n_classes).to(features.dtype),
        weights=(weights / weights.sum(dim=1, keepdim=True)).unsqueeze(2).to(features.dtype), parameters=parameters,
        first_moment=torch.zeros_like(parameters), second_moment=torch.zeros_like(parameters), mean=mean,
        variance=variance, best_parameters=parameters, best_mean=mean, best_variance=variance,
        lowest=endless, reference=endless, waited=torch.zeros_like(endless, dtype=torch.int64),
        run=torch.arange(n_runs, device=features.device),
    )  # fmt: skip


def _train_one_epoch(runs: _Runs, epoch: int, generators: Sequence[torch.Generator]) -> None:
    n_runs, n_points, dim = runs.features.shape
    n_weights = runs.parameters.shape[1] // (dim + 1) * dim
    weight = runs.parameters[:, :n_weights].view(n_runs, -1, dim)
    bias = runs.parameters[:, n_weights:].unsqueeze(1)
    dropped = runs.features * torch.stack([kept((n_points, dim), DROPOUT, some) for some in generators])
    mean = dropped.mean(dim=1, keepdim=True)
    centred = dropped.sub_(mean)
    variance = centred.square().mean(dim=1, keepdim=True)
    scale = (variance + NORM_EPS).rsqrt()
    logs = torch.log_softmax(torch.baddbmm(bias, centred, (weight * scale).transpose(1, 2)), dim=2)
    loss = -(runs.targets * logs * runs.weights).sum(dim=(1, 2))
    slope = (logs.exp() - runs.targets) * runs.weights
    gradient = torch.cat([(slope.transpose(1, 2) @ centred * scale).flatten(1), slope.sum(dim=1)], dim=1)
    runs.mean.lerp_(mean, MOMENTUM)
    runs.variance.lerp_(variance * (n_points / max(n_points - 1, 1)), MOMENTUM)
    _step(runs, gradient, epoch)
    _keep_best(runs, loss)


def _step(runs: _Runs, gradient: Tensor, epoch: int) -> None:
    """AdamW, as torch has it."""
    runs.first_moment.lerp_(gradient, 1 - BETAS[0])
    runs.second_moment.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    spread = (runs.second_moment.sqrt() / (1 - BETAS[1] ** epoch) ** 0.5).add_(ADAM_EPS)
    runs.parameters.mul_(1 - LEARNING_RATE * DECAY)
    runs.parameters.addcdiv_(runs.first_moment, spread, value=-LEARNING_RATE / (1 - BETAS[0] ** epoch))


def _keep_best(runs: _Runs, loss: Tensor) -> None:
    """The state after the step belongs to the loss before it, as the published code's checkpoints do."""
    is_lower = loss < runs.lowest
    runs.lowest = torch.where(is_lower, loss, runs.lowest)
    runs.best_parameters = torch.where(is_lower[:, None], runs.parameters, runs.best_parameters)
    runs.best_mean = torch.where(is_lower[:, None, None], runs.mean, runs.best_mean)
    runs.best_variance = torch.where(is_lower[:, None, None], runs.variance, runs.best_variance)
    has_improved = loss < runs.reference - IMPROVEMENT
    runs.reference = torch.where(has_improved, loss, runs.reference)
    runs.waited = torch.where(has_improved, 0, runs.waited + 1)


def _heads_of(runs: _Runs, n_classes: int) -> dict[int, LinearHead]:
    dim = runs.features.shape[2]
    found = {}
    for row, run in enumerate(runs.run.tolist()):
        parameters = runs.best_parameters[row]
        found[run] = LinearHead(
            shift=runs.best_mean[row, 0], scale=(runs.best_variance[row, 0] + NORM_EPS).rsqrt(),
            weight=parameters[: n_classes * dim].view(n_classes, dim), bias=parameters[n_classes * dim :],
            dropout=DROPOUT,
        )  # fmt: skip
    return found
