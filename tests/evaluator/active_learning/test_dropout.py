"""Masks of dropout, and a head's passes with them against the definition."""

import pytest
import torch

from evaluator.active_learning.dropout import kept
from evaluator.active_learning.generators import generator_of
from evaluator.active_learning.heads.linear import LinearHead


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (40, 64)])
@pytest.mark.parametrize("dropout", [0.0, 0.5, 0.75, 255 / 256])
def test_the_share_kept_is_that_of_the_chance(shape, dropout):
    found = torch.stack([kept(shape, dropout, generator_of(seed)) for seed in range(200)])
    assert found.shape[1:] == shape and found.max() <= 1
    spread = (dropout * (1 - dropout) / found.numel()) ** 0.5
    assert abs(found.double().mean().item() - (1 - dropout)) <= 5 * spread


@pytest.mark.parametrize("dropout", [0.3, 1.0, -0.5])
def test_a_chance_that_bytes_cannot_give_is_refused(dropout):
    with pytest.raises(ValueError, match="multiple of 1/256"):
        kept((2, 2), dropout, generator_of(0))


def test_passes_are_the_head_on_masked_features():
    generator = generator_of(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    head = LinearHead(shift=draw(16), scale=draw(16).abs(), weight=draw(3, 16), bias=draw(3), dropout=0.75)
    features, stream = draw(10, 16), generator_of(1)
    expected = [head.probabilities(features * kept((10, 16), 0.75, stream) / 0.25) for _ in range(4)]
    torch.testing.assert_close(head.stochastic(features, 4, generator_of(1)), torch.stack(expected))
    assert not torch.equal(expected[0], expected[1])
