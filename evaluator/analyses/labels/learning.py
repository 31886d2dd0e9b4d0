"""Learning curves of one dataset with their replicates. In: predictions of heads, right classes, draws; out: Curve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluator.active_learning.tasks import CurveResult
from evaluator.analyses.labels.draws import Draws, recall_replicates
from evaluator.statistics.paired import NO_VARIANCE, SAME, UNKNOWN_SOURCES, expanded_tail
from evaluator.statistics.wilson import wilson

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
    """Balanced accuracy and accuracy at K budgets: of S seeds, (S, K); B replicates of their mean, (B, K); its
    interval, (K, 2). trials: what there is fewer of, seeds or sources."""

    balanced: Floats
    accuracy: Floats
    balanced_drawn: Floats
    balanced_ends: Floats
    accuracy_ends: Floats
    trials: int

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
    right, source, draws = evaluated.right, evaluated.source, evaluated.draws
    drawn = recall_replicates(right, source, marks.reshape(-1, n_images), draws)
    balanced_drawn, accuracy_drawn = (
        np.einsum("bs,bsk->bk", of_seeds, values.reshape(-1, n_seeds, n_budgets)) for values in drawn
    )  # fmt: skip
    trials = min(n_seeds, evaluated.n_sources) if n_seeds > 1 else evaluated.n_sources
    mean = marks.mean(axis=0)
    return Curve(
        balanced=_mean_recall(right, marks), accuracy=marks.mean(axis=-1), balanced_drawn=balanced_drawn,
        balanced_ends=_ends(mean, right, source, balanced_drawn, trials),
        accuracy_ends=_ends(mean, np.zeros_like(right), source, accuracy_drawn, trials), trials=trials,
    )  # fmt: skip


def drawn_ends(drawn: Floats, trials: int) -> Floats:
    """(…, 2) the 95 % interval of replicates (B, …), its tails as few trials ask for (paired.expanded_tail)."""
    tail = expanded_tail(trials)
    return np.moveaxis(np.quantile(drawn, [tail, 1 - tail], axis=0), 0, -1)


def _ends(
    mean: Floats, group: NDArray[np.int64], source: NDArray[np.int64], drawn: Floats, trials: int
) -> Floats:  # fmt: skip
    """(K, 2) the interval of the mean over groups of images: at each end the wider of two. The bootstrap's knows of
    images and seeds, and collapses where all is right; Wilson's, of images alone, does not.

    mean: (K, m) of each image's marks over seeds.
    """
    groups, sources = (np.unique(codes, return_inverse=True)[1] for codes in (group, source))
    shape = (int(sources.max()) + 1, int(groups.max()) + 1)
    place = sources * shape[1] + groups
    count = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
    ends = drawn_ends(drawn, trials)
    for budget, marks in enumerate(mean):
        correct = np.bincount(place, weights=marks, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)
        low, high = _image_ends(correct, count)
        ends[budget] = min(ends[budget, 0], low), max(ends[budget, 1], high)
    return ends


def _image_ends(correct: Floats, count: NDArray[np.int64]) -> tuple[float, float]:
    """Wilson's interval of the mean over T groups of right answers (G, T) among `count`, sources drawn whole.

    As `wilson.clustered_wilson`, but marks are means over seeds, which vary less than right and wrong: the effective n
    may be more than the images, as far as sources differ; as in `paired`, k differing sources weigh k against 2.
    """
    n_sources, total = len(count), count.sum(axis=0)
    recalls = correct.sum(axis=0) / total
    p = float(recalls.mean())
    residual = ((correct - recalls * count) / total).mean(axis=1)
    variance = n_sources / max(n_sources - 1, 1) * float(residual @ residual)
    differing = min(int((correct < count - SAME).any(axis=1).sum()), int((correct > SAME).any(axis=1).sum()))
    seen = max(p * (1 - p) / variance, NO_VARIANCE) if variance > NO_VARIANCE else float(n_sources)
    trusted = differing / (differing + UNKNOWN_SOURCES)
    return wilson(p, 1 / (trusted / seen + (1 - trusted) / min(seen, n_sources)))


def _mean_recall(right: NDArray[np.int64], marks: Floats) -> Floats:
    """(S, K) the mean over the classes of `right` of the marks of each."""
    return np.stack([marks[..., right == each].mean(axis=-1) for each in np.unique(right)]).mean(axis=0)
