"""Made-up curve tasks and results: heads that get better with labels, whose errors belong to sources and seeds."""

import numpy as np

from evaluator.active_learning.studies.orders import budgets_for, label_orders
from evaluator.active_learning.tasks import CurveResult, CurveTask, Data
from evaluator.analyses.labels.draws import draw
from evaluator.analyses.labels.efficiency import Evaluated, Facts

HEAD = {"release": {"name": "Small", "version": "1.0", "hash": "abc"}, "split": "test", "key_revision": 1}


def curve_study(
    *, n_seeds: int = 3, n_pool: int = 60, n_classes: int = 3, n_sources: int = 14, replicates: int = 40, seed: int = 0,
    skill: float = 1.0, own_skill: float = 1.2, absent: int = 0, zero_shot: bool = True,
) -> tuple[Facts, CurveTask, CurveResult, Evaluated]:  # fmt: skip
    """Sources of one to three images; `absent` images are of a class that the pool lacks."""
    r = np.random.default_rng(seed)
    budgets = budgets_for(n_pool, n_classes)
    source = np.repeat(np.arange(n_sources), r.integers(1, 4, n_sources))
    right = r.integers(0, n_classes, len(source))
    right[:absent] = -1
    labels = r.integers(0, n_classes, n_pool)
    orders = label_orders([str(number) for number in range(n_pool)], range(n_seeds), "x")[:, : budgets.labels[-1]]
    difficulty = r.normal(size=n_sources)[source]

    def chances(skill: float, shape: tuple[int, int]) -> np.ndarray:
        steps = np.linspace(0.2, 1.0, shape[1])[:, None] * skill
        logits = r.normal(size=(*shape, len(source), n_classes)) + r.normal(size=(shape[0], 1, 1, n_classes)) / 2
        known = right >= 0
        logits[:, :, known, right[known]] += (2.5 * steps - difficulty)[:, known]
        exponentials = np.exp(logits)
        return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)

    shape = (n_seeds, len(budgets.labels))
    data = Data(pool=np.zeros((n_pool, 2), np.float32), labels=labels, n_classes=n_classes,
                evaluated=np.zeros((len(source), 2), np.float32))  # fmt: skip
    task = CurveTask(data=data, budgets=budgets.labels, orders=orders, seeds=tuple(range(n_seeds)))
    own_ids = np.stack([r.permutation(n_pool)[: budgets.labels[-1]] for _ in range(n_seeds)])
    result = CurveResult(
        same=chances(skill, shape), own=chances(own_skill, shape), own_ids=own_ids,
        ceiling=chances(1.5 * skill, (1, 1))[0, 0],
    )  # fmt: skip
    evaluated = Evaluated(
        right=right, source=source, draws=draw(np.zeros(n_sources, np.int64), seed, replicates),
        zero_shot=(r.random(len(source)) < 0.5).astype(np.float64) if zero_shot else None,
    )  # fmt: skip
    facts = Facts(dataset="cells", n_classes=n_classes, pool_items=n_pool, pool_sources=n_pool, seeds=n_seeds)
    return facts, task, result, evaluated
