"""A linear head: its formula, and dropout that is what it says."""

from itertools import product

import numpy as np
import pytest
import torch

from evaluator.active_learning.heads.linear import LinearHead
from tests.builders.pools import seeded

HEAD = LinearHead(
    shift=torch.tensor([0.5, -1, 2]), scale=torch.tensor([2.0, 0.5, 1]), bias=torch.tensor([0.25, -0.5]),
    weight=torch.tensor([[0.1, 0, 0.2], [0, 0.15, -0.1]]), dropout=0.75,
)  # fmt: skip
POINT = [3.0, 1, -1.3]


def by_hand(point: list[float]) -> list[float]:
    """Probabilities of one point."""
    z = [(x - m) * s for x, m, s in zip(point, HEAD.shift.tolist(), HEAD.scale.tolist(), strict=True)]
    logits = [b + sum(w * x for w, x in zip(row, z, strict=True))
              for row, b in zip(HEAD.weight.tolist(), HEAD.bias.tolist(), strict=True)]  # fmt: skip
    powers = np.exp(logits)
    return (powers / powers.sum()).tolist()


def test_probabilities_are_the_softmax_of_the_shifted_and_scaled() -> None:
    assert HEAD.probabilities(torch.tensor([POINT]))[0].tolist() == pytest.approx(by_hand(POINT), abs=1e-6)


def test_a_pass_keeps_each_feature_with_its_chance_and_scales_it_up() -> None:
    """700 equal points in more than one part: each of the 8 masks gives its own answer, as often as it is due."""
    passes = HEAD.stochastic(torch.tensor([POINT] * 700), 30, seeded(0))
    assert passes.shape == (30, 700, 2) and not torch.equal(passes[0], passes[1])
    answers = passes[..., 0].ravel().numpy()
    for mask in product([0, 1], repeat=3):
        expected = by_hand([x * kept / 0.25 for x, kept in zip(POINT, mask, strict=True)])[0]
        share = float(np.mean(np.abs(answers - expected) < 1e-6))
        due = float(np.prod([0.25 if kept else 0.75 for kept in mask]))
        assert share == pytest.approx(due, abs=0.015)


def test_without_dropout_every_pass_is_the_plain_one() -> None:
    head = LinearHead(shift=HEAD.shift, scale=HEAD.scale, weight=HEAD.weight, bias=HEAD.bias, dropout=0)
    points = torch.randn(50, 3, generator=seeded(1))
    plain = head.probabilities(points).expand(4, -1, -1)
    assert head.stochastic(points, 4, seeded(0)).numpy() == pytest.approx(plain.numpy(), abs=1e-6)
