"""What the published code reaches, ours reaches: the pool on which its curves are known, and one by the same recipe."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evaluator.active_learning.experiments.metrics import accuracy, aulc_linear
from evaluator.active_learning.experiments.pools import LabelledPool, read_pool
from evaluator.active_learning.experiments.runs import run
from evaluator.active_learning.names import HeadKind, Strategy, own_start
from evaluator.active_learning.tasks import StrategyTask
from tests.builders.mixtures import mixture

EXTRA_DATA = os.environ.get("UBENCH_EXTRA_DATA")
ROUNDS, PER_ROUND, SEEDS = 8, 20, (1, 10, 100, 1_000, 10_000)
# Mean and standard deviation over the five seeds of the area under the accuracy curve, by the authors' code.
PUBLISHED = {
    Strategy.RANDOM: (0.7771, 0.0252), Strategy.MARGIN: (0.8160, 0.0076), Strategy.CORESET: (0.8337, 0.0092),
    Strategy.BADGE: (0.8207, 0.0113), Strategy.TYPICLUST: (0.8945, 0.0055), Strategy.DROPQUERY: (0.9080, 0.0020),
}  # fmt: skip
FLOOR = 0.01


def areas(pool: LabelledPool, strategy: Strategy) -> np.ndarray:
    """(5,) area under each seed's curve."""
    task = StrategyTask(
        data=pool.data, strategy=strategy, start=own_start(strategy), head=HeadKind.PAPER, rounds=ROUNDS,
        per_round=PER_ROUND, seeds=SEEDS,
    )  # fmt: skip
    chosen = run(task).probabilities.argmax(axis=-1)
    return aulc_linear(PER_ROUND * np.arange(1, ROUNDS + 1), accuracy(pool.right, chosen))


@pytest.mark.skipif(not EXTRA_DATA, reason="UBENCH_EXTRA_DATA names no folder with al_synth20.npz")
@pytest.mark.parametrize("strategy", list(PUBLISHED))
def test_areas_are_those_of_the_published_code_or_better(strategy):
    pool = read_pool(next(Path(EXTRA_DATA).rglob("al_synth20.npz")))
    found, (mean, deviation) = areas(pool, strategy), PUBLISHED[strategy]
    tolerance = max(FLOOR, 2 * ((found.var(ddof=1) + deviation**2) / len(SEEDS)) ** 0.5)
    print(f"{strategy.display_name}: {found.mean():.4f} ± {found.std(ddof=1):.4f}, "
          f"published {mean:.4f} ± {deviation:.4f}, difference {found.mean() - mean:+.4f}, "
          f"tolerance {tolerance:.4f}")  # fmt: skip
    assert found.mean() >= mean - tolerance


def test_dropquery_beats_typiclust_beats_random(tmp_path):
    """Paired by seed, on a pool where five seeds tell them apart clearly; on others p is up to 0.05."""
    pool = read_pool(mixture(seed=2).save(tmp_path / "pool.npz"))
    best, second, third = (areas(pool, one) for one in (Strategy.DROPQUERY, Strategy.TYPICLUST, Strategy.RANDOM))
    for ahead, behind in ((best, second), (second, third)):
        assert ahead.mean() > behind.mean() and stats.ttest_rel(ahead, behind).pvalue < 0.05
