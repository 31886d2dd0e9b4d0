"""Learning curves of one dataset with their replicates. In: predictions of heads, right classes, draws; out: Curve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.tasks import CurveResult
from evaluator.analyses.draws import Draws, recall_replicates

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluated:
    """The m images that heads are scored on. right: (m,) classes 0 … C − 1, or below 0: a class that no image of the
    pool has, so never right (−1; −2, … keep several apart). source: (m,) columns of `draws`; zero_shot: (m,) 1 where
    the encoder was right without a label, None where it was not asked."""

    right: NDArray[np.int64]
    source: NDArray[np.int64]
    draws: Draws
    zero_shot: Floats | None

    @property
    def n_sources(self) -> int:
        return len(np.unique(self.source))


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """Balanced accuracy and accuracy at K budgets: of S seeds, (S, K), and B replicates of their mean, (B, K)."""

    balanced: Floats
    accuracy: Floats
    balanced_drawn: Floats
    accuracy_drawn: Floats

    @property
    def mean(self) -> Floats:
        """(K,) balanced accuracy"""
        return self.balanced.mean(axis=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """same: by common label orders, own: by own choice. ceiling: of one budget and one head, the whole pool labelled;
    zero_shot: the same without a label, None where it was not asked. Every replicate drew the same for all of them."""

    same: Curve
    own: Curve
    ceiling: Curve
    zero_shot: Curve | None


def curves_of(result: CurveResult, evaluated: Evaluated, dataset: str) -> Curves:
    """Replicates draw evaluated sources whole, and seeds, at once. What of the variance belongs
    to neither alone is little and counted up to three times (Owen 2007): intervals are wide rather than narrow."""
    of_seeds = evaluated.draws.of_seeds(len(result.same), dataset)
    always = np.ones((len(of_seeds), 1))
    zero_shot = evaluated.zero_shot
    return Curves(
        same=_curve(_is_right(result.same, evaluated), evaluated, of_seeds),
        own=_curve(_is_right(result.own, evaluated), evaluated, of_seeds),
        ceiling=_curve(_is_right(result.ceiling[None, None], evaluated), evaluated, always),
        zero_shot=None if zero_shot is None else _curve(zero_shot[None, None], evaluated, always),
    )  # fmt: skip


def _is_right(chances: NDArray[np.float32], evaluated: Evaluated) -> Floats:
    """(S, K, m) from probabilities (S, K, m, C), one seed at a time: they may be mapped and large."""
    return np.stack([(each.argmax(axis=-1) == evaluated.right).astype(np.float64) for each in chances])


def _curve(marks: Floats, evaluated: Evaluated, of_seeds: Floats) -> Curve:
    """marks: (S, K, m), 1 where right. of_seeds: (B, S) shares."""
    n_seeds, n_budgets, n_images = marks.shape
    runs = marks.reshape(-1, n_images)
    drawn = recall_replicates(evaluated.right, evaluated.source, runs, evaluated.draws)
    balanced, accuracy = (
        np.einsum("bs,bsk->bk", of_seeds, values.reshape(-1, n_seeds, n_budgets)) for values in drawn
    )  # fmt: skip
    return Curve(
        balanced=_mean_recall(evaluated.right, marks), accuracy=marks.mean(axis=-1),
        balanced_drawn=balanced, accuracy_drawn=accuracy,
    )  # fmt: skip


def _mean_recall(right: NDArray[np.int64], marks: Floats) -> Floats:
    """(S, K) the mean over the classes of `right` of the marks of each."""
    return np.stack([marks[..., right == each].mean(axis=-1) for each in np.unique(right)]).mean(axis=0)
