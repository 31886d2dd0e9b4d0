"""Which labels are worth most, by query strategy. In: a claimed study; out: StrategyRun rows, a few pairs at a time.

A pair is a strategy and the start that it goes on from. What is stored of a study is kept when it is killed: the next
claim goes on with the pairs that are missing.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from evaluator.active_learning import ACTIVE_LEARNING_VERSION
from evaluator.active_learning.names import HeadKind, Start, Strategy
from evaluator.active_learning.studies.soundness import sound
from evaluator.active_learning.tasks import StrategyResult, StrategyTask
from evaluator.analyses.forgetting import analysis_head
from evaluator.analyses.labels.fine import FineDataset
from evaluator.analyses.labels.strategies import STRATEGIES_VERSION, run_document
from evaluator.errors import InputError
from evaluator.release.info import info_from_json
from evaluator.scoring import report_digest
from leaderboard.label_efficiency.efficiency import Perform
from leaderboard.label_efficiency.ending import finish, hold, require_material, still
from leaderboard.label_efficiency.material import Origin
from leaderboard.label_efficiency.pools import EVALUATED, fine_of, vectors
from leaderboard.models import StrategyRun, Study, Submission
from leaderboard.queue.claims import Claim

VERSION = f"{ACTIVE_LEARNING_VERSION}.{STRATEGIES_VERSION}"
HEAD = HeadKind.STANDARD  # one for all strategies
MOST_ROUNDS = 8
PAIRS_AT_ONCE = 8  # in one process, which has to import torch; what a killed study loses at most
Pair = tuple[Strategy, Start]


def missing(
    submission: Submission, origin: Origin, dataset: str, pairs: Collection[Pair], seeds: int
) -> list[Pair]:  # fmt: skip
    """Those of `pairs` without a run in force made from `origin`, by this version, with as many seeds or more."""
    fresh = StrategyRun.objects.filter(
        submission=submission, dataset=dataset, superseded_at=None, version=VERSION, seeds__gte=seeds,
        **made_from(origin),
    )  # fmt: skip
    standing = set(fresh.values_list("strategy", "start"))
    return [pair for pair in sorted(set(pairs)) if pair not in standing]


def compute(study: Study, claim: Claim, perform: Perform) -> None:
    """Compare what the study wants and is missing, storing as it goes on."""
    submission, material = study.submission, require_material(study)
    dataset = fine_of(submission.release).datasets.get(study.dataset)
    if dataset is None:
        message = f"The fine dataset {study.dataset} has no images in dev, or none in test."
        raise InputError.single("no_such_dataset", message)
    while pairs := _missing(study, material)[:PAIRS_AT_ONCE]:
        documents = measure(submission, material, dataset, pairs, study.seeds, perform)
        with transaction.atomic():
            study = hold(claim)
            if not still(study, material):
                break
            _store(submission, material, dataset.name, documents)
            claim.held().update(attempts=0)  # it came on
    finish(claim, material, lambda: None, is_all=lambda now: not _missing(now, material))


def measure(
    submission: Submission, origin: Origin, dataset: FineDataset, pairs: Sequence[Pair], seeds: int,
    perform: Perform,
) -> dict[Pair, dict[str, Any]]:  # fmt: skip
    """The run document of every pair. Raises InputError where nothing can be learned or the pool is too small."""
    data = sound(dataset.data(vectors(origin.dev_evaluation, origin.test_evaluation)))
    rounds = min(MOST_ROUNDS, len(data.pool) // 2 // dataset.n_classes)
    if not rounds:
        message = f"Not even one label per class fits in half of the {len(data.pool)} images of {dataset.name}."
        raise InputError.single("pool_too_small", message)
    tasks = [
        StrategyTask(data=data, strategy=strategy, start=start, head=HEAD, rounds=rounds,
                     per_round=dataset.n_classes, seeds=tuple(range(seeds)))
        for strategy, start in pairs
    ]  # fmt: skip
    info = info_from_json(submission.release.info)
    head = analysis_head(info, EVALUATED, key_revision=origin.key_revision.number)
    documents = {}
    for pair, task, result in zip(pairs, tasks, perform(tasks), strict=True):
        assert isinstance(result, StrategyResult), "results come in the order of tasks"
        documents[pair] = run_document(
            task, result, dataset.right, dataset.pool.ids, dataset=dataset.name, head=head
        )  # fmt: skip
    return documents


def measure_again(rows: Sequence[StrategyRun], perform: Perform) -> list[dict[str, Any]]:
    """Runs of one submission on one dataset, computed again in the order of `rows`, for `rescore --verify`."""
    first = rows[0]
    submission = first.submission
    origin = Origin(
        dev_evaluation=first.dev_evaluation, test_evaluation=first.test_evaluation, key_revision=first.key_revision
    )  # fmt: skip
    dataset = fine_of(submission.release).datasets[first.dataset]
    pairs = [(Strategy(row.strategy), Start(row.start)) for row in rows]
    return list(measure(submission, origin, dataset, pairs, first.seeds, perform).values())


def lasting(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without the time that it took: what is the same on every run."""
    return {name: value for name, value in document.items() if name != "seconds"}


def made_from(origin: Origin) -> dict[str, Any]:
    """The columns of StrategyRun that say what it was made from; reports play no part in it."""
    return {
        "dev_evaluation": origin.dev_evaluation, "test_evaluation": origin.test_evaluation,
        "key_revision": origin.key_revision,
    }  # fmt: skip


def _store(submission: Submission, origin: Origin, dataset: str, documents: Mapping[Pair, dict[str, Any]]) -> None:
    """Put runs in force, in the caller's transaction; what stood for their pairs gives way."""
    for (strategy, start), document in documents.items():
        place = {"submission": submission, "dataset": dataset, "strategy": strategy, "start": start}
        StrategyRun.objects.filter(**place, superseded_at=None).update(superseded_at=Now())
        StrategyRun.objects.create(
            **place, **made_from(origin), seeds=len(document["seeds"]), version=VERSION, document=document,
            sha256=report_digest(lasting(document)),
        )  # fmt: skip


def _missing(study: Study, origin: Origin) -> list[Pair]:
    pairs = [(Strategy(strategy), Start(start)) for strategy, start in study.wanted]
    return missing(study.submission, origin, study.dataset, pairs, study.seeds)
