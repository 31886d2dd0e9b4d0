"""Query strategies compared. In: the runs in force of reference encoders; out: comparisons, pooled ones first."""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from evaluator.active_learning.names import Start
from evaluator.analyses.labels.strategies import comparison, pooled
from evaluator.errors import InputError
from evaluator.release.info import info_from_json
from evaluator.release.tasks import dataset_slug
from leaderboard.label_efficiency.rows import Comparison, Json
from leaderboard.models import Release, StrategyRun, Submission

Place = tuple[str, str, str]  # start, dataset, submission
Runs = tuple[str, tuple[int, ...]]  # slug of the encoder, numbers of its runs
LIGHT = ("pk", "submission_id", "dataset", "start", "seeds", "version", "key_revision_id")


def compare_all(release: Release, encoders: Iterable[Submission], dataset: str | None) -> list[Comparison]:
    """Every comparison that these encoders have runs for; dataset: a slug, to leave out others.

    What cannot be compared, such as runs of fewer seeds beside runs of more, is left out: the larger set stands.
    """
    by_id = {str(submission.pk): submission for submission in encoders}
    titles = {name: info.title for name, info in info_from_json(release.info).datasets.items()}
    runs: list[tuple[Place, Runs]] = [
        (place, (by_id[place[2]].model.slug, pks)) for place, pks in _runs(by_id, dataset)
    ]  # fmt: skip
    single = [
        _single(by_id[place[2]], place, titles[place[1]], document)
        for place, own in runs if (document := _compared(own)) is not None
    ]  # fmt: skip
    return [*_pooled(runs), *single]


def _runs(encoders: Iterable[str], dataset: str | None) -> list[tuple[Place, tuple[int, ...]]]:
    """The runs of each comparison, in the order of starts, datasets and encoders."""
    found: dict[Place, list[dict]] = {}
    order = {submission: place for place, submission in enumerate(encoders)}
    for run in StrategyRun.objects.filter(submission__in=list(order), superseded_at=None).values(*LIGHT):
        if dataset is None or dataset_slug(run["dataset"]) == dataset:
            found.setdefault((run["start"], run["dataset"], str(run["submission_id"])), []).append(run)
    starts = list(Start)
    places = sorted(found, key=lambda place: (starts.index(Start(place[0])), place[1], order[place[2]]))
    return [(place, _alike(found[place])) for place in places]


def _alike(runs: list[dict]) -> tuple[int, ...]:
    """Those that can be compared: most have their number of seeds, version and key."""
    kinds = Counter((run["key_revision_id"], run["version"], run["seeds"]) for run in runs)
    most = max(kinds, key=lambda kind: (kinds[kind], *kind))
    return tuple(sorted(run["pk"] for run in runs if (run["key_revision_id"], run["version"], run["seeds"]) == most))


@lru_cache(maxsize=256)
def _compared(own: Runs) -> Json | None:
    """The comparison of these runs; a new run has another number."""
    encoder, pks = own
    runs = [run.document for run in StrategyRun.objects.filter(pk__in=pks)]
    try:
        return comparison(runs, encoder=encoder)
    except InputError:
        return None


def _single(submission: Submission, place: Place, title: str, document: Json) -> Comparison:
    return Comparison(
        dataset=dataset_slug(place[1]), title=title, encoder=submission.model.slug,
        encoder_name=submission.model.name, submission=str(submission.pk), start=place[0], document=document,
    )  # fmt: skip


def _pooled(runs: list[tuple[Place, Runs]]) -> list[Comparison]:
    """One per start over all its comparisons, where there are several."""
    starts: dict[str, list[Runs]] = {}
    for place, own in runs:
        starts.setdefault(place[0], []).append(own)
    return [
        Comparison(dataset=None, title="", encoder=None, encoder_name="", submission=None, start=start,
                   document=document)
        for start, own in starts.items() if (document := _pooled_of(tuple(own))) is not None
    ]  # fmt: skip


@lru_cache(maxsize=32)
def _pooled_of(runs: tuple[Runs, ...]) -> Json | None:
    """Pooled over those with the number of seeds that most have; None of fewer than two, or without a strategy that all
    have."""
    documents = [document for own in runs if (document := _compared(own)) is not None]
    counts = Counter(document["seeds"] for document in documents)
    alike = [document for document in documents if document["seeds"] == counts.most_common(1)[0][0]]
    try:
        return pooled(alike) if len(alike) > 1 else None
    except InputError:
        return None
