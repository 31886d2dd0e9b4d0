"""Checkpoints and their fine-tunes. In: tensors; out: tensors a little further on, and what lies between, slowly."""

from collections.abc import Callable, Iterable
from typing import Any


def tuned_state(
    base: dict[str, Any], changes: Callable[[str], bool] = lambda name: True, *, size: float = 0.3, seed: int = 5
) -> dict[str, Any]:
    """`base` after noise in proportion to each tensor's spread, in the tensors that `changes` names."""
    import torch

    made = torch.Generator().manual_seed(seed)
    return {
        name: tensor + size * torch.randn(tensor.shape, generator=made) * (float(tensor.float().abs().mean()) + 1e-3)
        if tensor.is_floating_point() and changes(name) else tensor.clone()
        for name, tensor in base.items()
    }  # fmt: skip


def mixed_slowly(states: Iterable[dict[str, Any]], weights: Iterable[float]) -> dict[str, Any]:
    """The weighted mean, tensor by tensor in float64; whole numbers are the last one's."""
    states, weights = list(states), list(weights)
    return {
        name: sum(state[name].double() * weight for state, weight in zip(states, weights, strict=True)).float()
        if tensor.is_floating_point() else tensor
        for name, tensor in states[-1].items()
    }  # fmt: skip
