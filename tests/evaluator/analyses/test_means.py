"""Coverage of the intervals of means of tasks, through the whole path from marks to intervals."""

import numpy as np
import pytest

from evaluator.analyses.paired import columns_of, mean_figure, paired_intervals, replicates, task_figure
from evaluator.release.schema import Split
from evaluator.scoring.index import KeyIndex, build_index
from tests.builders.tables import make_tables

RUNS = 400


def simulated_marks(index: KeyIndex, lost: float, gained: float, correlation: float) -> np.ndarray:
    """(2 × RUNS, n) base and tuned of every run: each source loses and gains with probabilities of its own."""
    rng = np.random.default_rng(3)
    chances = np.array([1 - lost - gained, lost, gained]) * (1 / correlation - 1)
    drawn = rng.standard_gamma(np.maximum(chances, 1e-9), (RUNS, index.n_sources, 3))
    own = (drawn / drawn.sum(axis=-1, keepdims=True))[:, index.source]
    luck = rng.random((RUNS, len(index.task)))
    is_lost, is_gained = luck < own[..., 1], luck > 1 - own[..., 2]
    unchanged = rng.random(luck.shape) < 0.6
    pair = np.stack([(unchanged | is_lost) & ~is_gained, (unchanged & ~is_lost) | is_gained], axis=1)
    return pair.reshape(2 * RUNS, -1).astype(np.float32)


@pytest.mark.parametrize("n_sources", [30, 60, 200])
@pytest.mark.parametrize(("lost", "gained"), [(0.03, 0.0), (0.15, 0.05), (0.1, 0.1)])
def test_the_interval_of_a_mean_holds_the_true_difference(n_sources: int, lost: float, gained: float) -> None:
    """Tasks of all sources and of some; sources drawn in strata; uneven numbers of questions per source."""
    tables = make_tables(
        items=3 * n_sources, sources=n_sources, datasets=4, variants=(1,), kinds=("stain", "classification")
    )
    index = build_index(tables.info, Split.TEST, tables.questions, tables.key)
    columns = columns_of(index, np.ones(len(index.task), bool), simulated_marks(index, lost, gained, 0.3), 1)
    mean = mean_figure(index, list(columns.values()))
    assert mean is not None
    figures = [mean, *map(task_figure, columns.values())]
    pairs = np.arange(2 * RUNS).reshape(RUNS, 2)
    for figure, drawn in zip(figures, replicates(index, figures), strict=True):
        low, high = paired_intervals(figure, pairs, drawn)
        held = ((low <= gained - lost) & (gained - lost <= high)).mean()
        assert held >= 0.93 - 0.03  # 2.4 standard errors of 400 runs
