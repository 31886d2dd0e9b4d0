"""The leaderboard's head: pool-standardised features, multinomial logistic regression. In: labelled features of many
fits; out: their heads.

With x = (feature − mean) / sd / √d over the whole pool (so that |x|² is about 1 whatever d) it minimises
Σ cross-entropy(x · Aᵀ + b) + strength/2 · |A|², biases unpenalised, in float64: convex, so there is one answer. The
strength is the one of STRENGTHS with the least cross-entropy on labelled points held out in turn.

A penalised A lies in the span of the labelled points, so all is done in coordinates of that span, turned so that the
points' second moments are diagonal; fits with equally many labels, and their folds, are one batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.heads.minimise import minimise
from evaluator.active_learning.heads.paper import DROPOUT

STRENGTHS = (10.0, 1.0, 0.3, 0.1, 0.03, 0.01)  # from strong to weak
DEFAULT_STRENGTH = 0.01
FOLDS = 5
CHOOSE_FROM = 3  # labels per class below which the default strength is taken
ITERATIONS = 500
PRECISION, ROUGH_PRECISION = 1e-10, 1e-5  # of the cross-entropy per label: of heads, and where strengths are compared
NEVER = -1e4  # bias of a class that no label names: its probability is 0
FLAT = 1e-12  # directions with so little of the largest second moment are none
NUMBERS_AT_ONCE = 2_000_000  # parameters minimised together: bounds memory at about 25 times as many float64


@dataclass(frozen=True, kw_only=True, eq=False)
class Standard:
    """z = (feature − shift) · scale has mean 0 and sd 1 over the pool; a constant feature is 0. shift, scale: (d,)."""

    shift: Tensor
    scale: Tensor


def standard_of(pool: Tensor) -> Standard:
    """The means and 1/sd (in float64) of all features (n, d) of the pool; no label is needed for them."""
    wide = pool.double()
    shift, sd = wide.mean(dim=0), wide.std(dim=0, correction=0)
    constant = sd <= 1e-6 * wide.abs().amax(dim=0)
    return Standard(shift=shift, scale=torch.where(constant, 0.0, 1 / sd.masked_fill(constant, 1)))


def fit_standard(
    features: Sequence[Tensor], labels: Sequence[Tensor], n_classes: int, *, standard: Standard, folds_seed: int = 0,
    strengths: Sequence[float] = STRENGTHS,
) -> list[LinearHead]:  # fmt: skip
    """One head per fit: the same whichever others are fitted with it, up to rounding.

    features: (m_i, d) of the labelled points as the encoder gave them, m_i ≥ 1; labels: (m_i,), 0 … n_classes − 1.
    Folds are stratified as far as labels go and depend on `folds_seed` and the labels alone; a held-out point whose
    class the rest lacks does not count. With fewer than 3 · n_classes labels the strength is DEFAULT_STRENGTH. A class
    that no label names has probability 0.
    """
    heads: list[LinearHead | None] = [None] * len(features)
    for size in sorted({len(some) for some in features}):
        fits = [fit for fit, some in enumerate(features) if len(some) == size]
        width = n_classes * (min(size, features[0].shape[1]) + 1) * FOLDS
        for part in torch.tensor(fits).split(max(1, NUMBERS_AT_ONCE // width)):
            chosen = part.tolist()
            x = torch.stack([_scaled(features[fit], standard) for fit in chosen])
            found = _fit_alike(x, torch.stack([labels[fit] for fit in chosen]), n_classes, folds_seed, strengths)
            for fit, (weight, bias) in zip(chosen, found, strict=True):
                heads[fit] = _head(weight, bias, standard, features[fit].dtype)
    return [head for head in heads if head is not None]


def _scaled(features: Tensor, standard: Standard) -> Tensor:
    """x (m, d) in float64."""
    return (features.double() - standard.shift) * standard.scale / features.shape[1] ** 0.5


def _head(weight: Tensor, bias: Tensor, standard: Standard, dtype: torch.dtype) -> LinearHead:
    return LinearHead(
        shift=standard.shift.to(dtype), scale=standard.scale.to(dtype),
        weight=(weight / weight.shape[1] ** 0.5).to(dtype), bias=bias.to(dtype), dropout=DROPOUT,
    )  # fmt: skip


def _fit_alike(
    x: Tensor, labels: Tensor, n_classes: int, folds_seed: int, strengths: Sequence[float]
) -> list[tuple[Tensor, Tensor]]:
    """(C, d) weights of x and (C,) biases of S fits. x: (S, m, d), labels: (S, m)."""
    centre = x.mean(dim=1, keepdim=True)  # the biases take it up
    span = _span_of(x - centre)
    problem = _Problem.of(span, labels, n_classes, torch.ones_like(span.points[:, :, :1]))
    strength, start = span.points.new_full((len(labels),), DEFAULT_STRENGTH), problem.nothing()
    if labels.shape[1] >= CHOOSE_FROM * n_classes:  # then some class has so many, and some held-out point counts
        strength, start = _cross_validated(span, labels, n_classes, folds_seed, strengths)
    chosen = _solve(problem, strength, start, PRECISION)[:, 0]
    weights = chosen[:, :, :-1] @ span.back
    named = functional.one_hot(labels, n_classes).sum(dim=1) > 0
    biases = (chosen[:, :, -1] - (weights @ centre.transpose(1, 2))[:, :, 0]).masked_fill(~named, NEVER)
    return list(zip(weights, biases, strict=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Span:
    """points: (S, m, r) labelled points in coordinates in which their second moments are diagonal, moments (S, r);
    back: (S, r, d), from those coordinates to x."""

    points: Tensor
    moments: Tensor
    back: Tensor


def _span_of(x: Tensor) -> _Span:
    """x: (S, m, d), centred. The smaller of the two Gram matrices tells the span; nothing is cut off but rounding."""
    fewer_points = x.shape[1] <= x.shape[2]
    gram = x @ x.transpose(1, 2) if fewer_points else x.transpose(1, 2) @ x
    moments, axes = torch.linalg.eigh(gram)
    flat = moments <= FLAT * moments[:, -1:].clamp(min=FLAT)
    moments = moments.masked_fill(flat, 0)
    if fewer_points:
        length = moments.sqrt()
        inverse = torch.where(flat, 0.0, 1 / length.masked_fill(flat, 1))
        back = (axes * inverse[:, None, :]).transpose(1, 2) @ x
        return _Span(points=axes * length[:, None, :], moments=moments, back=back)
    axes = axes.masked_fill(flat[:, None, :], 0)
    return _Span(points=x @ axes, moments=moments, back=axes.transpose(1, 2))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Problem:
    """S fits × F selections of their points. A parameter block is (C, r + 1): weights, then the bias."""

    points: Tensor  # (S, m, r + 1), the last column 1
    moments: Tensor  # (S, r + 1)
    targets: Tensor  # (S, m, 1, C) one-hot
    used: Tensor  # (S, m, F, 1): 1 where a selection has the point, else 0
    impossible: Tensor  # (S, 1, F, C): the selection has no such class

    @classmethod
    def of(cls, span: _Span, labels: Tensor, n_classes: int, used: Tensor) -> "_Problem":
        targets = functional.one_hot(labels, n_classes).double().unsqueeze(2)
        used = used.unsqueeze(3)
        n_points = labels.shape[1]
        return cls(
            points=functional.pad(span.points, (0, 1), value=1.0), targets=targets, used=used,
            moments=functional.pad(span.moments, (0, 1), value=float(n_points)),
            impossible=(targets * used).sum(dim=1, keepdim=True) == 0,
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(S, F, C, r + 1)"""
        return len(self.points), self.used.shape[2], self.targets.shape[3], self.points.shape[2]

    def nothing(self) -> Tensor:
        return self.points.new_zeros(self.shape)

    def logs(self, parameters: Tensor) -> Tensor:
        """(S, m, F, C) log probabilities; −∞ for a class that the selection lacks."""
        n_fits, n_selections, n_classes, width = self.shape
        rows = parameters.reshape(n_fits, n_selections * n_classes, width)
        logits = (self.points @ rows.transpose(1, 2)).view(n_fits, -1, n_selections, n_classes)
        return torch.log_softmax(logits.masked_fill(self.impossible, -torch.inf), dim=3)

    def losses(self, parameters: Tensor) -> Tensor:
        """(S, m, F) cross-entropy of every point, ∞ where its class is impossible."""
        return -(self.logs(parameters).masked_fill(self.targets == 0, 0).sum(dim=3))


def _solve(problem: _Problem, strengths: Tensor, start: Tensor, precision: float) -> Tensor:
    """(S, F, C, r + 1): where every selection's objective is least, from `start` of that shape. strengths: (S,)."""
    n_fits, n_selections, _, width = problem.shape
    penalty = strengths[:, None, None, None] * functional.pad(start.new_ones(width - 1), (0, 1))  # (S, 1, 1, r + 1)
    used, other = problem.used, problem.targets == 0

    def value(flat: Tensor) -> tuple[Tensor, Tensor]:
        parameters = flat.view(problem.shape)
        logs = problem.logs(parameters)
        loss = -(logs.masked_fill(other, 0).sum(dim=3, keepdim=True).masked_fill(used == 0, 0)).sum(dim=(1, 3))
        slope = ((logs.exp_() - problem.targets) * used).flatten(2)
        gradient = (slope.transpose(1, 2) @ problem.points).view(problem.shape) + penalty * parameters
        penalised = loss + (penalty * parameters.square()).sum(dim=(2, 3)) / 2
        return penalised.flatten(), gradient.view(len(flat), -1)

    share = used.mean(dim=1)[:, :, :, None]  # (S, F, 1, 1)
    curvature = (problem.moments[:, None, None, :] * share / problem.shape[2] + penalty).clamp(min=1e-12)
    found = minimise(
        value, start.reshape(n_fits * n_selections, -1),
        curvature.expand(problem.shape).reshape(n_fits * n_selections, -1),
        tolerance=(precision * used.sum(dim=1)).flatten(), iterations=ITERATIONS,
    )  # fmt: skip
    return found.view(problem.shape)


def _cross_validated(
    span: _Span, labels: Tensor, n_classes: int, folds_seed: int, strengths: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """(S,) the strength that predicts held-out points best, the stronger of equals; (S, 1, C, r + 1) the mean over
    folds of its parameters. From strong to weak, each starts where the last ended."""
    held_out = functional.one_hot(_folds(labels, folds_seed), FOLDS).double()
    problem = _Problem.of(span, labels, n_classes, 1 - held_out)
    grid = torch.tensor(sorted(strengths, reverse=True), dtype=held_out.dtype, device=held_out.device)
    place, lowest = problem.nothing(), held_out.new_full((len(labels),), torch.inf)
    best, start = torch.zeros_like(lowest), place[:, :1]
    for strength in grid:
        place = _solve(problem, strength.expand_as(lowest), place, ROUGH_PRECISION)
        loss = problem.losses(place)
        loss = loss.masked_fill((held_out == 0) | loss.isinf(), 0).sum(dim=(1, 2))
        is_better = loss < lowest
        lowest, best = torch.where(is_better, loss, lowest), torch.where(is_better, strength, best)
        start = torch.where(is_better[:, None, None, None], place.mean(dim=1, keepdim=True), start)
    return best, start


def _folds(labels: Tensor, seed: int) -> Tensor:
    """(S, m) 0 … FOLDS − 1: dealt in turn to the points in the order of their class, in random order within it."""
    n_points = labels.shape[1]
    order = torch.randperm(n_points, generator=torch.Generator().manual_seed(seed)).to(labels.device)
    by_class = order[torch.argsort(labels[:, order], dim=1, stable=True)]
    dealt = (torch.arange(n_points, device=labels.device) % FOLDS).expand_as(by_class)
    return torch.empty_like(by_class).scatter_(1, by_class, dealt)
