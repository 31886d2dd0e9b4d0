"""Many smooth convex functions minimised at once. In: their values and gradients; out: their minima."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

MEMORY = 10  # pairs of steps and changes of the gradient that are kept
ENOUGH_DECREASE = 1e-4  # Armijo's constant
HALVINGS = 30
Value = Callable[[Tensor], tuple[Tensor, Tensor]]  # (P, n) → values (P,), gradients (P, n)


def minimise(value: Value, start: Tensor, curvature: Tensor, *, tolerance: Tensor, iterations: int) -> Tensor:
    """(P, n) where P functions, each of a row, are least: L-BFGS in lock-step, each row as it would go alone.

    curvature: (P, n) > 0, about the second derivatives. tolerance: (P,), a row rests once its decrement gᵀH⁻¹g, about
    twice what its value is above the least, is not above it. Source: Nocedal & Wright (2006), algorithms 7.4 and 3.1.
    """
    place = start.clone()
    found, gradient = value(place)
    past = _Past()
    moving = torch.ones_like(found, dtype=torch.bool)
    for _ in range(iterations):
        direction = -past.inverse(gradient, curvature)
        slope = (gradient * direction).sum(dim=1)
        moving &= -slope > tolerance  # a row that rests stays where it is, whatever the others still do
        if not moving.any():
            break
        place, found, gradient = _step(value, place, found, gradient, direction * moving[:, None], slope * moving, past)
    return place


def _step(
    value: Value, place: Tensor, found: Tensor, gradient: Tensor, direction: Tensor, slope: Tensor, past: "_Past"
) -> tuple[Tensor, Tensor, Tensor]:
    """Go as far along `direction` as lowers each value enough; a row that cannot go lower stays."""
    length = torch.ones_like(found)
    slack = found.abs() * 1e-15  # what rounding may hide
    for _ in range(HALVINGS):
        ahead = place + length[:, None] * direction
        found_ahead, gradient_ahead = value(ahead)
        too_high = ~(found_ahead <= found + ENOUGH_DECREASE * length * slope + slack)
        if not too_high.any():
            break
        length = torch.where(too_high, length / 2, length)
    else:
        ahead = torch.where(too_high[:, None], place, ahead)
        found_ahead, gradient_ahead = value(ahead)
    past.add(ahead - place, gradient_ahead - gradient)
    return ahead, found_ahead, gradient_ahead


@dataclass(kw_only=True)
class _Past:
    """The last steps, from which the inverse of the second derivatives is approximated."""

    steps: list[Tensor] = field(default_factory=list)
    changes: list[Tensor] = field(default_factory=list)
    products: list[Tensor] = field(default_factory=list)  # (P,) 1 / step·change; 0 where a row did not move

    def add(self, step: Tensor, change: Tensor) -> None:
        product = (step * change).sum(dim=1)
        self.steps.append(step)
        self.changes.append(change)
        self.products.append(torch.where(product > 0, 1 / product.clamp(min=1e-300), 0.0))
        for kept in (self.steps, self.changes, self.products):
            del kept[:-MEMORY]

    def inverse(self, gradient: Tensor, curvature: Tensor) -> Tensor:
        """(P, n) H⁻¹g by the two loops."""
        found = gradient.clone()
        weights = []
        pairs = list(zip(self.steps, self.changes, self.products, strict=True))
        for step, change, product in reversed(pairs):
            weights.append(product * (step * found).sum(dim=1))
            found -= weights[-1][:, None] * change
        found /= curvature
        if pairs:
            found *= self._scale(curvature)[:, None]
        for (step, change, product), weight in zip(pairs, reversed(weights), strict=True):
            found += (weight - product * (change * found).sum(dim=1))[:, None] * step
        return found

    def _scale(self, curvature: Tensor) -> Tensor:
        """(P,) how much flatter a function is than `curvature` says, by the last step."""
        change, product = self.changes[-1], self.products[-1]
        fitted = (change.square() / curvature).sum(dim=1)
        return torch.where((product > 0) & (fitted > 0), 1 / (product * fitted).clamp(min=1e-300), 1.0)
