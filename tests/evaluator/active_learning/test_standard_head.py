"""The standard head against scikit-learn: one fit at a time, in the features' own space, with a tight tolerance."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.heads.standard import (
    DEFAULT_STRENGTH,
    FOLDS,
    STRENGTHS,
    fit_standard,
    standard_of,
)
from tests.builders.pools import blobs, seeded

FEW = (10.0, 0.3, 0.01)


def slow_fit(x: np.ndarray, y: np.ndarray, strength: float, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (C, d) and biases of the optimum; classes without a point have weight 0 and probability 0."""
    seen = np.unique(y)
    weight, bias = np.zeros((n_classes, x.shape[1])), np.full(n_classes, -np.inf)
    if len(seen) == 1:
        bias[seen] = 0
        return weight, bias
    model = LogisticRegression(C=1 / strength, solver="newton-cholesky", tol=1e-10).fit(x, y)
    coef, intercept = model.coef_, model.intercept_
    if len(seen) == 2:  # one row for two classes: of the second against the first, with half the penalty each
        model = LogisticRegression(C=2 / strength, solver="newton-cholesky", tol=1e-10).fit(x, y)
        coef = np.concatenate([-model.coef_ / 2, model.coef_ / 2])
        intercept = np.concatenate([-model.intercept_ / 2, model.intercept_ / 2])
    weight[seen], bias[seen] = coef, intercept
    return weight, bias


def slow_probabilities(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    logits = x @ weight.T + bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def slow_folds(y: np.ndarray, seed: int) -> np.ndarray:
    shuffled = torch.randperm(len(y), generator=seeded(seed)).tolist()
    fold = np.empty(len(y), dtype=int)
    for place, point in enumerate(sorted(shuffled, key=lambda each: y[each])):
        fold[point] = place % FOLDS
    return fold


def slow_strength(x: np.ndarray, y: np.ndarray, n_classes: int, strengths: tuple[float, ...], seed: int) -> float:
    """The strength with the least cross-entropy on held-out points whose class the rest has."""
    if len(y) < 3 * n_classes:
        return DEFAULT_STRENGTH
    fold = slow_folds(y, seed)
    losses = {}
    for strength in strengths:
        losses[strength] = 0.0
        for out in range(FOLDS):
            rest, held_out = fold != out, (fold == out) & np.isin(y, y[fold != out])
            chances = slow_probabilities(x[held_out], *slow_fit(x[rest], y[rest], strength, n_classes))
            losses[strength] -= np.log(chances[np.arange(held_out.sum()), y[held_out]]).sum()
    return min(losses, key=lambda strength: losses[strength])


def slow_standard(pool: Tensor, rows: Tensor, labels: Tensor, n_classes: int, strengths: tuple[float, ...] = STRENGTHS):
    """A function from features to probabilities."""
    wide = pool.double().numpy()
    mean, sd = wide.mean(axis=0), wide.std(axis=0)
    scale = np.array([0 if each < 1e-9 else 1 / each for each in sd]) / wide.shape[1] ** 0.5
    x, y = (wide[rows.numpy()] - mean) * scale, labels.numpy()
    weight, bias = slow_fit(x, y, slow_strength(x, y, n_classes, strengths, 0), n_classes)
    return lambda features: slow_probabilities((features.double().numpy() - mean) * scale, weight, bias)


def fitted(pool: Tensor, rows: list[Tensor], labels: Tensor, n_classes: int, **how: object) -> list[LinearHead]:
    return fit_standard(
        [pool[own] for own in rows], [labels[own] for own in rows], n_classes, standard=standard_of(pool), **how
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n_classes", "held", "d"), [(2, 5, 30), (4, 4, 12), (3, 8, 40), (3, 24, 40), (5, 60, 8), (2, 20, 3)]
)
def test_finds_the_optimum_that_scikit_learn_finds(n_classes: int, held: int, d: int) -> None:
    """Below and above 3 labels per class, more and fewer labels than features, classes without a label."""
    pool, labels = blobs(150, d, n_classes, seed=held)
    pool = pool * torch.linspace(0.1, 20, d) + 3
    rows = [torch.randperm(len(pool), generator=seeded(seed))[:held] for seed in range(3)]
    heads = fitted(pool, rows, labels, n_classes, strengths=FEW)
    for own, head in zip(rows, heads, strict=True):
        expected = slow_standard(pool, own, labels[own], n_classes, FEW)(pool)
        assert np.abs(head.probabilities(pool).numpy() - expected).max() < 2e-4


def test_the_whole_grid_is_searched() -> None:
    """Points of noise alone ask for the strongest, points far apart for the weakest."""
    pool, labels = blobs(120, 6, 3, apart=4)
    noise = torch.randn(120, 6, generator=seeded(1))
    for features, expected in ((noise, STRENGTHS[0]), (pool, STRENGTHS[-1])):
        rows = torch.arange(90)
        head = fitted(features, [rows], labels, 3)[0]
        at_that = fitted(features, [rows], labels, 3, strengths=(expected,))[0]
        assert torch.allclose(head.weight, at_that.weight, atol=1e-4)


def test_a_fit_is_the_same_whatever_is_fitted_beside_it() -> None:
    pool, labels = blobs(80, 10, 4)
    rows = [torch.randperm(80, generator=seeded(seed))[:size] for seed, size in enumerate((30, 6, 30, 13, 30))]
    together = fitted(pool, rows, labels, 4)
    for own, head in zip(rows, together, strict=True):
        alone = fitted(pool, [own], labels, 4)[0]
        assert torch.allclose(head.probabilities(pool), alone.probabilities(pool), atol=1e-5)
    again = fitted(pool, rows, labels, 4)
    assert all(torch.equal(one.weight, other.weight) for one, other in zip(together, again, strict=True))


def test_a_class_with_a_single_label_can_be_cross_validated() -> None:
    pool, labels = blobs(60, 5, 3)
    lone = int(torch.nonzero(labels == 2)[0])
    rows = torch.cat([torch.nonzero(labels < 2)[:20, 0], torch.tensor([lone])])
    head = fitted(pool, [rows], labels, 3, strengths=FEW)[0]
    expected = slow_standard(pool, rows, labels[rows], 3, FEW)(pool)
    assert np.abs(head.probabilities(pool).numpy() - expected).max() < 2e-4
    assert head.probabilities(pool[lone][None]).argmax() == 2


def test_one_label_and_equal_labels_name_their_class_everywhere() -> None:
    pool, labels = blobs(30, 4, 3)
    for rows in (torch.tensor([5]), torch.nonzero(labels == labels[5])[:9, 0]):
        chances = fitted(pool, [rows], labels, 3)[0].probabilities(pool)
        assert (chances.argmax(dim=1) == labels[5]).all()
        assert (chances.sum(dim=1) - 1).abs().max() < 1e-6


def test_constant_features_and_equal_points_say_nothing() -> None:
    pool, labels = blobs(60, 5, 3)
    with_constant = torch.cat([pool, torch.full((60, 1), 1e4)], dim=1)
    plain = fitted(pool, [torch.arange(30)], labels, 3, strengths=(0.1,))[0].probabilities(pool)
    # One feature more makes x = z / √d shorter, and so a given strength stronger.
    same = fitted(with_constant, [torch.arange(30)], labels, 3, strengths=(0.1 * 5 / 6,))[0].probabilities(
        with_constant
    )
    assert torch.allclose(plain, same, atol=1e-4)
    equal = pool.clone()
    equal[:20] = equal[0]
    chances = fitted(equal, [torch.arange(20)], labels, 3)[0].probabilities(equal[:1])
    shares = torch.bincount(labels[:20], minlength=3) / 20
    assert torch.allclose(chances[0], shares, atol=1e-3)


def test_the_scale_of_features_does_not_matter() -> None:
    pool, labels = blobs(60, 5, 3)
    plain, scaled = (fitted(each, [torch.arange(30)], labels, 3)[0].probabilities(each) for each in (pool, 1e-4 * pool))
    assert torch.allclose(plain, scaled, atol=1e-4)


def test_it_can_be_asked_with_dropout() -> None:
    pool, labels = blobs(60, 5, 3)
    head = fitted(pool, [torch.arange(30)], labels, 3)[0]
    passes = head.stochastic(pool, 4, seeded(0))
    assert passes.shape == (4, 60, 3) and not torch.equal(passes[0], passes[1])
