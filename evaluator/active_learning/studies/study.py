"""One task done: heads trained on labels held, and what they say of the evaluated images. In: Task; out: Result."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluator.active_learning.experiments import runs
from evaluator.active_learning.fits import fit_of
from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.names import HeadKind, Start, Strategy
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.studies.soundness import sound
from evaluator.active_learning.tasks import CurveResult, CurveTask, Result, StrategyTask, Task

OnShare = Callable[[float], None]  # how much of the task is done, 0 … 1


def perform(task: Task, on_share: OnShare | None = None, *, device: torch.device | str = "cpu") -> Result:
    """Do one task. Raises InputError as `sound` does, and `too_few_candidates` where a pool is too small."""
    task = replace(task, data=sound(task.data))
    tell = on_share or (lambda share: None)
    match task:
        case CurveTask():
            return _curve(task, tell, device)
        case StrategyTask():
            return runs.run(task, device=device, on_round=lambda done: tell(done / task.rounds))


def own_choice(pool: Pool, labels: Tensor, budgets: Sequence[int], seeds: Sequence[int]) -> Iterator[Tensor]:
    """(S, b) ids held at each budget b, each row the last one and more: centroid start, then DropQuery, asked by the
    paper's head."""
    steps = np.diff(budgets, prepend=0).tolist()
    paper = fit_of(HeadKind.PAPER, pool, labels, seeds)

    def fit(held: Tensor, number: int) -> list[LinearHead]:
        return paper(held, number) if number + 1 < len(steps) else []  # nothing is asked after the last

    for found in runs.walk(pool, labels, Strategy.DROPQUERY, Start.CENTROID, fit, steps, seeds):
        yield found.held


def _curve(task: CurveTask, tell: OnShare, device: torch.device | str) -> CurveResult:
    data = task.data
    features, labels, evaluated, orders = (
        torch.from_numpy(np.array(array)).to(device) for array in (data.pool, data.labels, data.evaluated, task.orders)
    )
    pool = Pool(features=features, n_classes=data.n_classes)
    fit = fit_of(HeadKind.STANDARD, pool, labels, task.seeds)

    def answers(held: Tensor) -> NDArray[np.float32]:
        heads = fit(held, 0)
        return torch.stack([head.probabilities(evaluated) for head in heads]).cpu().numpy()

    total, done = 2 * sum(task.budgets) + len(pool), 0
    same, own = np.empty((2, len(orders), len(task.budgets), len(evaluated), data.n_classes), dtype=np.float32)
    held = orders[:, :0]
    common = (orders[:, :budget] for budget in task.budgets)
    for curve, sets in ((same, common), (own, own_choice(pool, labels, task.budgets, task.seeds))):
        for place, held in enumerate(sets):
            curve[:, place] = answers(held)
            done += held.shape[1]
            tell(done / total)
    return CurveResult(same=same, own=own, own_ids=held.cpu().numpy(), ceiling=answers(pool.everyone[None])[0])
