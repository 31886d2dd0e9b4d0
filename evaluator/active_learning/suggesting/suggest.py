"""Which images to label next. In: features, ids, the labels so far; out: Suggestion.

Without labels: a start. With labels of several classes: a head is trained on them and the strategy asks it. With labels
of a single class no head can be trained: groups that lie far from what is labelled, where other classes may be.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluator.active_learning.checks import checked_features
from evaluator.active_learning.generators import generator_of
from evaluator.active_learning.heads.linear import LinearHead
from evaluator.active_learning.heads.paper import fit_paper
from evaluator.active_learning.heads.standard import fit_standard, standard_of
from evaluator.active_learning.kmeans import kmeans, nearest_members
from evaluator.active_learning.names import HeadKind, Start, Strategy
from evaluator.active_learning.pool import Pool
from evaluator.active_learning.starts import choose_start
from evaluator.active_learning.state import State
from evaluator.active_learning.strategies import ask
from evaluator.active_learning.suggesting.reasons import Reason, reasons, reasons_of_start
from evaluator.active_learning.suggesting.suggestion import Basis, Pick, Suggestion
from evaluator.errors import InputError

# Their ids come group by group, in no order of worth; those of the others come best first.
UNORDERED = (Strategy.DROPQUERY, Strategy.ALFAMIX)
GROUPS_PER_PICK = 2  # of the unlabelled images, of which the half farther from the labels is taken


def suggest(
    features: NDArray[np.float32], ids: Sequence[str], labels: Mapping[str, str], *, count: int,
    strategy: Strategy = Strategy.DROPQUERY, head: HeadKind = HeadKind.PAPER, seed: int = 0,
) -> Suggestion:  # fmt: skip
    """Exactly `count` distinct ids that have no label. Equal input gives equal output.

    features: (n, d), one row per id; ids: distinct; labels: of some ids. Raises InputError `bad_count`,
    `too_few_candidates`, and as `checked_features`.
    """
    known = torch.tensor(checked_features(features))
    classes = sorted(set(labels.values()))
    rows = torch.tensor([row for row, name in enumerate(ids) if name in labels], dtype=torch.int64)
    _check_count(count, len(ids) - len(rows), len(ids))
    pool = Pool(features=known, n_classes=max(len(classes), 1))
    if len(classes) > 1:
        basis = Basis.CLASSES
        targets = torch.tensor([classes.index(labels[ids[row]]) for row in rows.tolist()])
        found = _asked(pool, rows, targets, count, strategy, head, seed)
    else:
        basis = Basis.ONE_CLASS if classes else Basis.IMAGES
        found = _started(pool, rows, count, strategy, seed)
    return Suggestion(
        basis=basis, strategy=strategy, head=head, seed=seed, images=len(ids),
        labelled={name: sum(label == name for label in labels.values()) for name in classes},
        picks=tuple(_pick(reason, ids, classes) for reason in found),
    )  # fmt: skip


def _check_count(count: int, unlabelled: int, images: int) -> None:
    if count < 1:
        raise InputError.single("bad_count", f"{count} images cannot be asked for. Ask for 1 or more.", field="count")
    if count > unlabelled:
        message = (f"{count:,} images were asked for, but only {unlabelled:,} of the {images:,} have no label yet. Ask "
                   "for fewer, or add images.")  # fmt: skip
        raise InputError.single("too_few_candidates", message, field="count")


def _asked(
    pool: Pool, rows: Tensor, targets: Tensor, count: int, strategy: Strategy, kind: HeadKind, seed: int
) -> list[Reason]:
    """The strategy's choice, by a head trained on the labels."""
    round_name = str(len(rows))
    state = State(
        pool=pool, labelled=rows, labels=targets, count=count, generator=generator_of(seed, "choice", round_name),
        head=_fit(pool, rows, targets, kind, seed),
    )  # fmt: skip
    found = reasons(state, ask(strategy, state))
    return sorted(found, key=_certainty) if strategy in UNORDERED else found


def _fit(pool: Pool, rows: Tensor, targets: Tensor, kind: HeadKind, seed: int) -> LinearHead:
    labelled = [pool.features[rows]]
    match kind:
        case HeadKind.PAPER:
            generators = [generator_of(seed, "head", str(len(rows)))]
            return fit_paper(labelled, [targets], pool.n_classes, generators=generators)[0]
        case HeadKind.STANDARD:
            standard = standard_of(pool.features)
            return fit_standard(labelled, [targets], pool.n_classes, standard=standard, folds_seed=seed)[0]


def _certainty(reason: Reason) -> tuple[float, float, int]:
    assert reason.opinion is not None
    return -reason.opinion.disagreement, reason.opinion.margin, reason.id


def _started(pool: Pool, rows: Tensor, count: int, strategy: Strategy, seed: int) -> list[Reason]:
    """A choice without a head; the largest groups first."""
    name = str(len(rows))
    if len(rows):
        found = reasons_of_start(pool, _far_from(pool, rows, count, generator_of(seed, "start", name)))
    else:
        start = Start.RANDOM if strategy is Strategy.RANDOM else Start.CENTROID
        chosen = choose_start(start, pool, count, generator=generator_of(seed, "start", name))
        found = reasons_of_start(pool, chosen, generator_of(seed, "start", name))
    return sorted(found, key=lambda reason: (reason.cluster, -reason.typicality, reason.id))


def _far_from(pool: Pool, rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count,) the middles of those groups of unlabelled images that lie farthest from all labelled ones."""
    is_open = torch.ones(len(pool), dtype=torch.bool)
    is_open[rows] = False
    unlabelled = pool.everyone[is_open]
    directions = pool.directions[unlabelled]
    clusters = kmeans(directions, min(GROUPS_PER_PICK * count, len(unlabelled)), generator=generator)
    nearest = torch.cdist(clusters.centroids, pool.directions[rows]).min(dim=1).values
    farthest = torch.argsort(nearest, descending=True, stable=True)[:count]
    return unlabelled[nearest_members(directions, clusters)[farthest]]


def _pick(reason: Reason, ids: Sequence[str], classes: Sequence[str]) -> Pick:
    opinion = reason.opinion
    return Pick(
        id=ids[reason.id], group=reason.cluster, members=reason.members, typicality=round(reason.typicality, 6),
        guess=classes[opinion.predicted] if opinion else None,
        disagreement=round(opinion.disagreement, 6) if opinion else None,
        lead=round(opinion.margin, 6) if opinion else None,
    )  # fmt: skip
