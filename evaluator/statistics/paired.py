"""Paired differences of two models on the same questions. In: differences per source; out: intervals and p values.

A source's difference is what the second model has more than the first, summed over its questions. Sources are the
units: they are drawn whole, and their sides are swapped whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from evaluator.statistics.bootstrap import CHUNK
from evaluator.statistics.wilson import Z95, wilson_ends

PERMUTATIONS = 9_999
UNKNOWN_SOURCES = 2  # how many differing sources the prior belief "a source is one trial" weighs as much as
NO_VARIANCE = 1e-15
SAME = 1e-12  # statistics that differ by less are equal: sums of the same fractions in another order
_PERMUTATION_STREAM = 1  # sets these draws apart from the bootstrap's, which have the same seed


@dataclass(frozen=True, kw_only=True)
class Flips:
    """The answers that changed in one direction, of P pairs of models."""

    share: NDArray[np.float64]  # (P,) of all questions; a mean of tasks' shares
    variance: NDArray[np.float64]  # (P,) of `share`, sources drawn whole
    n_differing: NDArray[np.int64]  # (P,) sources with such an answer


def paired_ends(
    replicates: NDArray[np.float64], gained: Flips, lost: Flips, n_questions: int, n_sources: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P,) low and (P,) high ends of the 95 % interval of differences: at each end the wider of two intervals.

    replicates: (P, B) bootstrap replicates of the differences, NaN where nothing was drawn. The one is their expanded
    percentile interval; the other, `flip_ends`, knows that a few changed answers, or none, say little: it covers where
    the bootstrap collapses. Simulated coverage: docs/decisions.md, "Paired intervals".
    """
    tail = expanded_tail(n_sources)
    quantile = np.nanquantile if np.isnan(replicates).any() else np.quantile
    drawn_low, drawn_high = quantile(replicates, [tail, 1 - tail], axis=1)
    low, high = flip_ends(gained, lost, n_questions, n_sources)
    return np.minimum(low, drawn_low), np.maximum(high, drawn_high)


def flip_ends(
    gained: Flips, lost: Flips, n_questions: int, n_sources: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P,) low and (P,) high ends of gained − lost from the Wilson intervals of both shares, squared and added.

    Source: Newcombe (1998), method 10, without its correlation; each share with the effective n of clustered questions.
    """
    (gained_low, gained_high), (lost_low, lost_high) = (
        wilson_ends(flips.share, _effective_n(flips, n_questions, n_sources), _critical(n_sources))
        for flips in (gained, lost)
    )
    difference = gained.share - lost.share
    below = np.hypot(gained.share - gained_low, lost_high - lost.share)
    above = np.hypot(gained_high - gained.share, lost.share - lost_low)
    return np.maximum(difference - below, -1.0), np.minimum(difference + above, 1.0)


def _effective_n(flips: Flips, n_questions: int, n_sources: int) -> NDArray[np.float64]:
    """(P,) p(1−p)/var as in `clustered_wilson`, drawn towards the number of sources where few of them differ.

    A variance that rests on k sources is trusted as k against UNKNOWN_SOURCES (a weighted harmonic mean).
    """
    varies = flips.variance > NO_VARIANCE
    spread = flips.share * (1 - flips.share) / np.where(varies, flips.variance, 1.0)
    seen = np.where(varies, np.clip(spread, NO_VARIANCE, n_questions), n_sources)
    trusted = flips.n_differing / (flips.n_differing + UNKNOWN_SOURCES)
    return 1.0 / (trusted / seen + (1.0 - trusted) / np.minimum(seen, n_sources))


def _critical(n_sources: int) -> float:
    """Student's t for the sources' degrees of freedom; a single source has none, and its n of 1 is wide enough."""
    return float(stdtrit(n_sources - 1, 0.975)) if n_sources > 1 else Z95


def expanded_tail(n_sources: int) -> float:
    """The share of replicates to cut off at each end for a 95 % interval, smaller than 2.5 % where sources are few.

    Percentiles of a bootstrap are too narrow by √((G−1)/G) and know nothing of Student's t; with G = `n_sources`
    the tail is Φ(−√(G/(G−1)) · t), and 2.5 % for a single source, whose replicates are all the same. Source:
    Hesterberg, "What teachers should know about the bootstrap" (2015), 3.3.
    """
    if n_sources < 2:
        return 0.025
    degrees = n_sources - 1
    return float(ndtr(-np.sqrt(n_sources / degrees) * stdtrit(degrees, 0.975)))


def sign_flips(n_sources: int, seed: int, permutations: int = PERMUTATIONS) -> Iterator[NDArray[np.float64]]:
    """Chunks (≤ CHUNK, G) of +1 and −1: whose sides are swapped. Every task and mean of a pair shares them."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _PERMUTATION_STREAM])))
    for begin in range(0, permutations, CHUNK):
        rows = min(CHUNK, permutations - begin)
        yield generator.integers(0, 2, (rows, n_sources), dtype=np.int8).astype(np.float64) * 2 - 1


def swapped_sums(differences: NDArray[np.float64], seed: int, permutations: int = PERMUTATIONS) -> NDArray[np.float64]:
    """(permutations, C) column sums of `differences` (G, C) with the sides of random sources swapped."""
    return np.concatenate([flips @ differences for flips in sign_flips(len(differences), seed, permutations)])


def permutation_p(observed: NDArray[np.float64], swapped: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C,) two-sided p of `observed` (C,) among `swapped` (permutations, C), itself counted: never 0."""
    as_extreme = (np.abs(swapped) >= np.abs(observed) - SAME).sum(axis=0)
    return (1.0 + as_extreme) / (1.0 + len(swapped))


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C,) p values adjusted for having looked at all C of them (Holm 1979): in step-down order, at most 1."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted
