"""How few labels an encoder needs, on every fine dataset of its release. In: a claimed study; out: its documents.

Heads are trained by `perform`, in another process; here predictions meet the right classes.
"""

import shutil
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from django.db.models.functions import Now
from numpy.typing import NDArray

from evaluator.active_learning import ACTIVE_LEARNING_VERSION
from evaluator.active_learning.studies.soundness import curve_task
from evaluator.active_learning.tasks import CurveResult, CurveTask, Result, Task
from evaluator.analyses.forgetting import analysis_head
from evaluator.analyses.labels.efficiency import (
    EFFICIENCY_VERSION,
    Efficiency,
    Evaluated,
    Facts,
    efficiency,
    not_measured,
)
from evaluator.analyses.labels.fine import FineDataset
from evaluator.errors import InputError
from evaluator.release.info import info_from_json
from evaluator.scoring import report_digest
from leaderboard import storage
from leaderboard.label_efficiency.ending import finish, require_material
from leaderboard.label_efficiency.material import Material
from leaderboard.label_efficiency.pools import EVALUATED, Fine, fine_of, vectors, zero_shot
from leaderboard.models import LabelEfficiency, Study, Submission
from leaderboard.queue.claims import Claim

VERSION = f"{ACTIVE_LEARNING_VERSION}.{EFFICIENCY_VERSION}"
Perform = Callable[[Sequence[Task]], list[Result]]


def stands(submission: Submission, material: Material, seeds: int) -> bool:
    """Whether all that is in force was made from `material`, by this version, with as many seeds or more."""
    in_force = LabelEfficiency.objects.filter(submission=submission, superseded_at=None)
    fresh = in_force.filter(version=VERSION, seeds__gte=seeds, **vars(material))
    return fresh.exists() and fresh.count() == in_force.count()


def compute(study: Study, claim: Claim, perform: Perform) -> None:
    """Measure the encoder on every fine dataset at once, and store all of it or nothing."""
    submission, material = study.submission, require_material(study)
    made: list[Efficiency] = []
    if not stands(submission, material, study.seeds):
        names = list(fine_of(submission.release).datasets)
        made = measure(submission, material, names, study.seeds, perform)
    finish(
        claim, material, lambda: _store(submission, material, study.seeds, made),
        is_all=lambda now: now.seeds <= study.seeds,
    )  # fmt: skip


def measure(
    submission: Submission, material: Material, names: Iterable[str], seeds: int, perform: Perform
) -> list[Efficiency]:  # fmt: skip
    """What the encoder reaches on these datasets, in one process. Reads KEY_ROOT; the same on every run."""
    release, fine = submission.release, fine_of(submission.release)
    head = analysis_head(info_from_json(release.info), EVALUATED, key_revision=material.key_revision.number)
    embedded = vectors(material.dev_evaluation, material.test_evaluation)
    planned: list[tuple[Facts, Evaluated, CurveTask | str]] = []
    for dataset in (fine.datasets[name] for name in names):
        data, evaluated = dataset.data(embedded), _evaluated(fine, material, dataset)
        try:
            task: CurveTask | str = curve_task(
                data, dataset.pool.ids, seeds=range(seeds), salt=f"{release.hash}:{dataset.name}"
            )  # fmt: skip
        except InputError as error:  # said where the curve would be shown
            task = error.problems[0].message
        planned.append((_facts(dataset, seeds), evaluated, task))
    results = iter(perform([task for _, _, task in planned if isinstance(task, CurveTask)]))
    return [
        not_measured(facts, evaluated, task, head=head) if isinstance(task, str)
        else efficiency(facts, task, _curve(next(results)), evaluated, head=head)
        for facts, evaluated, task in planned
    ]  # fmt: skip


def measure_again(rows: Sequence[LabelEfficiency], perform: Perform) -> list[Efficiency]:
    """What stands of one submission, computed again in the order of `rows`: what `rescore --verify` compares."""
    first = rows[0]
    material = Material(
        dev_evaluation=first.dev_evaluation, test_evaluation=first.test_evaluation, report=first.report,
        key_revision=first.key_revision,
    )  # fmt: skip
    return measure(first.submission, material, [row.dataset for row in rows], first.seeds, perform)


def areas_of(row: LabelEfficiency, release_slug: str) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(B,) replicates of the area that boards rank by, and of the gain; None where nothing was measured."""
    path = storage.efficiency_folder(release_slug, row.pk) / storage.AREAS
    if not path.exists():
        return None
    with np.load(path) as stored:
        return stored["same"], stored["gain"]


def _curve(result: Result) -> CurveResult:
    assert isinstance(result, CurveResult), "results come in the order of tasks"
    return result


def _facts(dataset: FineDataset, seeds: int) -> Facts:
    return Facts(
        dataset=dataset.name, n_classes=dataset.n_classes, pool_items=len(dataset.labels),
        pool_sources=dataset.pool.n_sources, seeds=seeds,
    )  # fmt: skip


def _evaluated(fine: Fine, material: Material, dataset: FineDataset) -> Evaluated:
    return Evaluated(
        right=dataset.right, source=dataset.evaluated.sources, draws=fine.draws,
        zero_shot=zero_shot(fine, material.report, dataset),
    )  # fmt: skip


def _store(submission: Submission, material: Material, seeds: int, made: Sequence[Efficiency]) -> None:
    """Put all documents in force at once, in the caller's transaction: files stand in place before rows are seen."""
    if not made:
        return
    LabelEfficiency.objects.filter(submission=submission, superseded_at=None).update(superseded_at=Now())
    for found in made:
        row = LabelEfficiency.objects.create(
            submission=submission, dataset=found.document["dataset"], seeds=seeds, version=VERSION,
            document=found.document, sha256=report_digest(found.document), **vars(material),
        )  # fmt: skip
        folder = storage.efficiency_folder(submission.release.slug, row.pk)
        shutil.rmtree(folder, ignore_errors=True)  # of a transaction that was rolled back
        folder.mkdir(parents=True, mode=0o700)
        if found.replicates is not None and found.gain_replicates is not None:
            np.savez(folder / storage.AREAS, same=found.replicates, gain=found.gain_replicates)
