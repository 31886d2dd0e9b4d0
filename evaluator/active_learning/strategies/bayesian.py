"""What a label would tell about the head, by passes with dropout that disagree. In: State; out: ids.

BALD: Houlsby et al. 2011, Gal et al. 2017. PowerBALD: Kirsch et al. 2023.
"""

import torch
from torch import Tensor

from evaluator.active_learning.state import State
from evaluator.active_learning.strategies.choosing import highest
from evaluator.active_learning.strategies.uncertain import entropies

PASSES = 20


def bald(state: State) -> Tensor:
    """The highest mutual information I = H(mean p) − mean H(p) over 20 passes."""
    return highest(_information(state), state.unlabelled, state.count, state.generator)


def powerbald(state: State) -> Tensor:
    """The highest log I + Gumbel(0, 1) noise: a draw without replacement with chances ∝ I.

    The published code gives −inf or NaN, which sorts as the highest, where rounding makes I ≤ 0. Here such a point has
    no chance as long as another has one, and an equal chance with its like afterwards.
    """
    information = _information(state)
    generator = state.generator
    uniform = torch.rand(len(information), generator=generator, device=generator.device, dtype=torch.float64)
    gumbel = -torch.log(-torch.log(uniform.clamp(min=torch.finfo(torch.float64).tiny)))
    scores = information.log() + gumbel.to(information.device)
    return highest(scores, state.unlabelled, state.count, state.generator)


def _information(state: State) -> Tensor:
    passes = state.head.stochastic(state.pool.features[state.unlabelled], PASSES, state.generator)
    return mutual_information(passes)


def mutual_information(passes: Tensor) -> Tensor:
    """(n,) nats ≥ 0 of (passes, n, C) probabilities; what rounding puts below 0 is 0."""
    passes = passes.double()
    return (entropies(passes.mean(dim=0)) - entropies(passes).mean(dim=0)).clamp(min=0)
