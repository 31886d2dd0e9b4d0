"""Simulated coverage of the area under learning curves. In: how much sources and seeds matter; out: how often the 95 %
interval holds the truth: the area over endlessly many sources and seeds."""

from dataclasses import dataclass

import numpy as np

from evaluator.active_learning.experiments import metrics
from evaluator.active_learning.tasks import CurveResult
from evaluator.analyses.labels.draws import draw
from evaluator.analyses.labels.learning import Evaluated, curves_of, drawn_ends
from tests.evaluator.analyses.slow_efficiency import slow_log2_area

BUDGETS = (2, 4, 8, 16)
FADE = np.array([1.0, 0.8, 0.6, 0.4])  # how much seeds matter at each budget
MOST_IMAGES = 3  # per source


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Log odds of a right answer: levels by budget, ± 0.5 by class, and normal deviations of sources, of seeds, and of
    seeds and classes together. rare: the share of sources of the second class."""

    name: str
    n_sources: int = 60
    n_seeds: int = 20
    of_sources: float = 1.0
    of_seeds: float = 0.4
    of_seed_and_class: float = 0.6
    rare: float = 0.5
    levels: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5)

    def __str__(self) -> str:
        return self.name


SETTINGS = (
    Setting(name="both"), Setting(name="many sources", n_sources=400),
    Setting(name="sources alone", of_sources=2.0, of_seeds=0.05, of_seed_and_class=0.1),
    Setting(name="seeds alone", n_sources=150, of_sources=0.2, of_seeds=1.0),
    Setting(name="few sources", n_sources=15),
    Setting(name="a class of six sources", rare=0.1),
    Setting(name="near the ceiling", n_sources=40, levels=(2.0, 2.5, 3.0, 4.0)),
)  # fmt: skip


def coverage(setting: Setting, runs: int, seed: int, replicates: int = 500) -> float:
    """The share of `runs` samples whose interval of the log2 area holds the true one."""
    truth = true_area(setting)
    held = 0
    for run in range(runs):
        right, source, correct = _sample(setting, np.random.default_rng([seed, run]))
        low, high = _interval(right, source, correct, run, replicates)
        held += low <= truth <= high
    return held / runs


def true_area(setting: Setting) -> float:
    """By quadrature over the normal deviations, which add up."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    variance = setting.of_sources**2 + FADE**2 * (setting.of_seeds**2 + setting.of_seed_and_class**2)
    scores = [
        np.mean([(weights / weights.sum()) @ _odds(level + own + sd * nodes) for own in (0.5, -0.5)])
        for level, sd in zip(setting.levels, np.sqrt(variance), strict=True)
    ]
    return slow_log2_area(BUDGETS, scores, 2)


def _sample(setting: Setting, r: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m,) classes, (m,) sources and (S, K, m) right answers."""
    source = np.repeat(np.arange(setting.n_sources), r.integers(1, MOST_IMAGES + 1, setting.n_sources))
    second = max(2, round(setting.rare * setting.n_sources))
    right = (np.arange(setting.n_sources) < second).astype(np.int64)[source]
    of_seeds = r.normal(0, setting.of_seeds, (setting.n_seeds, 1, 1))
    of_both = r.normal(0, setting.of_seed_and_class, (setting.n_seeds, 1, 2))[:, :, right]
    odds = (
        np.array(setting.levels)[None, :, None] + np.where(right == 0, 0.5, -0.5)
        + r.normal(0, setting.of_sources, setting.n_sources)[source] + FADE[None, :, None] * (of_seeds + of_both)
    )  # fmt: skip
    return right, source, r.random(odds.shape) < _odds(odds)


def _interval(
    right: np.ndarray, source: np.ndarray, correct: np.ndarray, run: int, replicates: int
) -> tuple[float, float]:  # fmt: skip
    chosen = np.where(correct, right, 1 - right)
    chances = np.stack([chosen == 0, chosen == 1], axis=-1).astype(np.float32)
    result = CurveResult(
        same=chances, own=chances[:1, :1], own_ids=np.zeros((1, 1), np.int64), ceiling=chances[0, 0]
    )  # fmt: skip
    drawn = draw(np.zeros(source.max() + 1, np.int64), run, replicates)
    curve = curves_of(result, Evaluated(right=right, source=source, draws=drawn, zero_shot=None), "cells").same
    low, high = drawn_ends(metrics.aulc_log2(BUDGETS, curve.balanced_drawn, 2), curve.trials)
    return float(low), float(high)


def _odds(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))
