"""The paper's head: many runs at once against a plain loop of torch modules, one run at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from evaluator.active_learning.dropout import kept
from evaluator.active_learning.generators import generator_of
from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.heads.paper import first_parameters, fit_paper

N_CLASSES = 4


def points(size: int, dim: int = 12, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Classes around centres of their own, off the origin."""
    generator = generator_of(seed, "points")
    labels = torch.randint(N_CLASSES, (size,), generator=generator)
    centres = torch.randn(N_CLASSES, dim, generator=generator) + 1
    return (centres[labels] + torch.randn(size, dim, generator=generator)).to(dtype), labels


def slow(features: Tensor, labels: Tensor, generator: torch.Generator, weights: Tensor | None = None) -> LinearHead:
    """The published recipe, written with torch's own layers, loss and optimiser."""
    size, dim = features.shape
    parameters = first_parameters(size, dim, N_CLASSES, generator)
    normalise, linear = nn.BatchNorm1d(dim, affine=False), nn.Linear(dim, N_CLASSES)
    with torch.no_grad():
        linear.weight.copy_(parameters[: N_CLASSES * dim].view(N_CLASSES, dim))
        linear.bias.copy_(parameters[N_CLASSES * dim :])
    model = nn.Sequential(normalise, linear).to(features.dtype)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=1e-2)
    weights = torch.ones(size) if weights is None else weights
    lowest, reference, waited, best = torch.inf, torch.inf, 0, {}
    for _ in range(400):
        losses = nn.functional.cross_entropy(
            model(features * kept((size, dim), 0.75, generator) / 0.25), labels, reduction="none"
        )
        loss = (losses * weights).sum() / weights.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < lowest:
            lowest, best = loss.item(), {name: value.clone() for name, value in model.state_dict().items()}
        waited = 0 if loss.item() < reference - 1e-3 else waited + 1
        if waited == 0:
            reference = loss.item()
        if waited == 20:
            break
    return LinearHead(
        shift=best["0.running_mean"], scale=(best["0.running_var"] + 1e-5).rsqrt(), weight=best["1.weight"],
        bias=best["1.bias"], dropout=0.75,
    )  # fmt: skip


@pytest.mark.parametrize("size", [2, 5, 40])
def test_training_many_at_once_is_training_each_by_the_plain_loop(size):
    """In double precision, as rounding would otherwise grow over the epochs."""
    data = [points(size, seed=seed, dtype=torch.float64) for seed in range(3)]
    generators = [generator_of(seed, "head") for seed in range(3)]
    heads = fit_paper([x for x, _ in data], [y for _, y in data], N_CLASSES, generators=generators)
    for seed, (x, y) in enumerate(data):
        expected = slow(x, y, generator_of(seed, "head"))
        for name in ("shift", "scale", "weight", "bias"):
            torch.testing.assert_close(getattr(heads[seed], name), getattr(expected, name), rtol=1e-6, atol=1e-8)


def test_points_count_by_their_weights():
    x, y = points(30, dtype=torch.float64)
    weights = torch.rand(30, generator=generator_of(0, "weights"))
    head, = fit_paper([x], [y], N_CLASSES, generators=[generator_of(0, "head")], weights=[weights])  # fmt: skip
    torch.testing.assert_close(head.weight, slow(x, y, generator_of(0, "head"), weights).weight, rtol=1e-6, atol=1e-8)
    assert not torch.allclose(head.weight, slow(x, y, generator_of(0, "head")).weight, rtol=1e-3)


def test_a_run_is_the_same_to_the_bit_whatever_is_trained_beside_it():
    sizes = [40, 7, 40, 1, 7, 40]
    data = [points(size, dim=64, seed=seed) for seed, size in enumerate(sizes)]

    def fit(runs):
        generators = [generator_of(run, "head") for run in runs]
        return fit_paper([data[run][0] for run in runs], [data[run][1] for run in runs], N_CLASSES,
                         generators=generators)  # fmt: skip

    together = fit(range(len(sizes)))
    for run in range(len(sizes)):
        alone, = fit([run])  # fmt: skip
        for name in ("shift", "scale", "weight", "bias"):
            assert torch.equal(getattr(together[run], name), getattr(alone, name))


def test_the_head_learns():
    (x, y), (other, right) = points(200), points(200)
    head, = fit_paper([x[:100]], [y[:100]], N_CLASSES, generators=[generator_of(0, "head")])  # fmt: skip
    assert (head.probabilities(other[100:]).argmax(dim=1) == right[100:]).float().mean() > 0.9


def test_one_point_answers_its_class_everywhere():
    x, y = torch.full((1, 12), 3.0), torch.tensor([2])
    head, = fit_paper([x], [y], N_CLASSES, generators=[generator_of(0)])  # fmt: skip
    chances = head.probabilities(points(50)[0])
    assert (chances.argmax(dim=1) == 2).all() and (chances[:, 2] > 0.9).all()


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_constant_features_give_finite_chances(value):
    x, y = torch.full((20, 12), value), torch.arange(20) % N_CLASSES
    head, = fit_paper([x], [y], N_CLASSES, generators=[generator_of(0)])  # fmt: skip
    for found in (head.probabilities(x), head.probabilities(points(50)[0]), head.stochastic(x, 2, generator_of(1))):
        assert found.isfinite().all()


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.sampled_from([0, 1e-30, 1e-3, 1, 1e6, 1e15]))
def test_whatever_is_labelled_gives_finite_chances(size, dim, n_classes, largest):
    generator = generator_of(size, str(dim))
    x = largest * (2 * torch.rand(2 * size, dim, generator=generator) - 1)
    y = torch.randint(n_classes, (size,), generator=generator)
    head, = fit_paper([x[:size]], [y], n_classes, generators=[generator_of(0)])  # fmt: skip
    for found in (head.probabilities(x), head.stochastic(x, 2, generator_of(1))):
        assert found.isfinite().all() and torch.allclose(found.sum(dim=-1), torch.ones(()))


def test_a_class_of_one_member_and_classes_unseen_are_no_trouble():
    x, _ = points(20)
    y = torch.zeros(20, dtype=torch.int64)
    y[3] = 2
    head, = fit_paper([x], [y], N_CLASSES, generators=[generator_of(0)])  # fmt: skip
    chances = head.probabilities(x)
    assert chances.isfinite().all() and (chances[:, [1, 3]].sum(dim=1) < 0.5).all()


def test_streams_of_one_seed_are_told_apart_by_their_names():
    names = [(1, "head", "1"), (1, "head", "2"), (1, "start"), (2, "start"), (1, "1", "head")]
    drawn = {torch.rand(1, generator=generator_of(seed, *rest)).item() for seed, *rest in names}
    assert len(drawn) == len(names)
    assert torch.equal(torch.rand(9, generator=generator_of(1, "a")), torch.rand(9, generator=generator_of(1, "a")))
