"""A strategy at work: start, then round by round train, predict, choose. In: StrategyTask; out: StrategyResult.

All seeds walk in lock-step, so that their heads are trained as one batch; each gets what it would get alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evaluator.active_learning.fits import Fit, fit_of
from evaluator.active_learning.generators import generator_of
from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.names import Start, Strategy
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.starts import choose_start
from evaluator.active_learning.state import State
from evaluator.active_learning.strategies.table import ask
from evaluator.active_learning.tasks import StrategyResult, StrategyTask
from evaluator.errors import InputError

OnRound = Callable[[int], None]  # rounds done


@dataclass(frozen=True, kw_only=True, eq=False)
class Round:
    """held: (S, m) ids in the order in which they were labelled; seconds: (S,) of choosing and training in this round,
    training shared out equally."""

    held: Tensor
    heads: list[LinearHead]
    seconds: list[float]


def run(
    task: StrategyTask, *, device: torch.device | str = "cpu", propagates: bool = False, on_round: OnRound | None = None
) -> StrategyResult:
    """Every round of every seed; `propagates` as in `fit_of`.

    Raises InputError `too_few_candidates` when the rounds ask for more labels than the pool has images.
    """
    arrays = task.data.pool, task.data.labels, task.data.evaluated
    features, labels, evaluated = (torch.from_numpy(np.array(array)).to(device) for array in arrays)
    pool = Pool(features=features, n_classes=task.data.n_classes)
    steps = [task.per_round] * task.rounds
    fit = fit_of(task.head, pool, labels, task.seeds, propagates=propagates)
    rounds = walk(pool, labels, task.strategy, task.start, fit, steps, task.seeds)
    chances: list[Tensor] = []
    seconds: list[list[float]] = []
    for number, found in enumerate(rounds, start=1):
        chances.append(torch.stack([head.probabilities(evaluated) for head in found.heads]).cpu())
        seconds.append(found.seconds)
        if on_round is not None:
            on_round(number)
    ids = found.held.view(len(task.seeds), task.rounds, task.per_round)
    return StrategyResult(
        ids=ids.cpu().numpy(), probabilities=torch.stack(chances, dim=1).numpy(), seconds=np.array(seconds).T,
    )  # fmt: skip


def walk(
    pool: Pool, labels: Tensor, strategy: Strategy, start: Start, fit: Fit, steps: Sequence[int], seeds: Sequence[int],
) -> Iterator[Round]:  # fmt: skip
    """Label steps[0] images by the start and steps[1], … by the strategy, each round asked of heads trained on all
    before.

    labels: (n,) the oracle, read for ids that were chosen. A seed's start is the same for every strategy, and its
    dropout and choices come from streams of their own. Raises InputError `too_few_candidates` before anything is done.
    """
    if sum(steps) > len(pool):
        message = (f"{len(steps)} rounds ask for {sum(steps)} labels, but there are {len(pool)} images to label. "
                   "Ask for fewer, or add images.")  # fmt: skip
        raise InputError.single("too_few_candidates", message)
    device = pool.features.device
    heads: list[LinearHead] = []
    held = pool.everyone[:0].expand(len(seeds), 0)
    for number, step in enumerate(steps):
        chosen, seconds = [], []
        for place, seed in enumerate(seeds):
            began = time.perf_counter()
            if number == 0:
                chosen.append(choose_start(start, pool, step, generator=generator_of(seed, "start", device=device)))
            else:
                chosen.append(ask(strategy, State(
                    pool=pool, labelled=held[place], labels=labels[held[place]], head=heads[place], count=step,
                    generator=generator_of(seed, "choice", str(number), device=device),
                )))  # fmt: skip
            seconds.append(time.perf_counter() - began)
        held = torch.cat([held, torch.stack(chosen)], dim=1)
        began = time.perf_counter()
        heads = fit(held, number)
        shared = (time.perf_counter() - began) / len(seeds)
        yield Round(held=held, heads=heads, seconds=[own + shared for own in seconds])
