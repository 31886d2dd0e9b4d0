"""Asking for studies. In: a submission and what is wanted; out: one live study of it, or none where all stands already.

Asking twice does nothing more. A study takes the queue `study`; what it stores is checked against what is in force when
it ends, so that nothing stands twice and nothing of an earlier key.
"""

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from evaluator.active_learning.names import Start, Strategy
from leaderboard import asking, states
from leaderboard.label_efficiency import efficiency, strategies
from leaderboard.label_efficiency.material import is_scored, material_of, refusal, without_embeddings
from leaderboard.models import Evaluation, Model, Release, StrategyRun, Study, Submission, User
from leaderboard.models.label_efficiency import StudyKind
from leaderboard.models.submissions import Purpose
from leaderboard.queue import Queue, dispatch
from leaderboard.states import EVALUATION_ENDS, EvaluationState, StudyState, SubmissionState

LIVE = (StudyState.QUEUED, StudyState.RUNNING)
SEEDS = 20  # of a public rank; 50 for announced comparisons
Pair = tuple[Strategy, Start]


def ask_efficiency(submission: Submission, *, seeds: int | None = None, by: User | None = None) -> Study | None:
    """Have the label efficiency of a checkpoint measured on every fine dataset of its release.

    None where it does not apply, is not scored yet, has no embeddings, or stands already. seeds: None for SEEDS.
    """
    seeds = seeds or SEEDS
    with transaction.atomic():
        locked = _locked(submission)
        material = None if refusal(locked) else material_of(locked)
        if material is None or efficiency.stands(locked, material, seeds):
            return None
        return _ask(locked, StudyKind.EFFICIENCY, "", [], seeds, by)


def ask_strategies(
    submission: Submission, dataset: str, pairs: Collection[Pair], *, seeds: int | None = None, by: User | None = None
) -> Study | None:
    """Have strategies compared on one dataset by the embeddings of a checkpoint; None as `ask_efficiency`."""
    seeds = seeds or SEEDS
    with transaction.atomic():
        locked = _locked(submission)
        material = None if refusal(locked) else material_of(locked)
        if material is None or not (missing := strategies.missing(locked, material, dataset, pairs, seeds)):
            return None
        return _ask(locked, StudyKind.STRATEGIES, dataset, [list(pair) for pair in missing], seeds, by)


def ask_to_embed(submission: Submission, *, by: User | None = None) -> list[Evaluation]:
    """Queue runs for the embeddings that earlier runs did not keep; returns the new ones. They come after all other
    evaluations and cost nobody anything."""
    with transaction.atomic():
        locked = _locked(submission)
        if refusal(locked) or not is_scored(locked):
            return []
        ended = EVALUATION_ENDS - {EvaluationState.SCORED}
        going_on = locked.evaluations.filter(purpose=Purpose.EMBED).exclude(state__in=ended).values_list("split")
        splits = [split for split in without_embeddings(locked) if (split,) not in set(going_on)]
        protocols = asking.protocols_asked(locked.release, locked.architecture) if splits else {}
        queued = []
        for split in splits:
            evaluation = Evaluation.objects.create(
                submission=locked, split=split, purpose=Purpose.EMBED, protocol=protocols[split]
            )
            states.record(submission=locked, evaluation=evaluation, to_state=evaluation.state, actor=_actor(by),
                          note="for its embeddings alone")  # fmt: skip
            queued.append(evaluation)
        if queued:
            dispatch.ring(Queue.EVALUATE)
    return queued


def refresh(release: Release | None = None) -> list[Study]:
    """Ask again for what an earlier key, version or run made, and for what was never measured."""
    rows = Submission.objects.filter(state=SubmissionState.ACCEPTED).select_related("release__key_revision")
    rows = rows.filter(release=release) if release else rows
    asked = [ask_efficiency(submission) for submission in rows.order_by("created_at")]
    runs = StrategyRun.objects.filter(superseded_at=None, submission__in=rows)
    wanted: dict[tuple[UUID, str, int], list[Pair]] = {}
    for run in runs:
        pair = (Strategy(run.strategy), Start(run.start))
        wanted.setdefault((run.submission_id, run.dataset, run.seeds), []).append(pair)
    for (pk, dataset, seeds), pairs in wanted.items():
        asked.append(ask_strategies(Submission.objects.get(pk=pk), dataset, pairs, seeds=seeds))
    return [study for study in asked if study is not None]


def mark_reference_encoder(model: Model, *, marked: bool, by: User | None) -> None:
    """Say whether strategies are compared on the embeddings of this model."""
    with transaction.atomic():
        Model.objects.filter(pk=model.pk).update(is_reference_encoder=marked)
        states.record(queue=Queue.STUDY, to_state="marked" if marked else "unmarked", actor=_actor(by),
                      note=f"reference encoder: {model.slug}")  # fmt: skip


def _ask(
    submission: Submission, kind: StudyKind, dataset: str, wanted: list[list[str]], seeds: int, by: User | None
) -> Study:
    live = Study.objects.filter(submission=submission, kind=kind, dataset=dataset, state__in=LIVE)
    study = live.select_for_update(no_key=True).first()
    if study is None:
        study = Study.objects.create(submission=submission, kind=kind, dataset=dataset, wanted=wanted, seeds=seeds)
        states.record(study=study, to_state=study.state, actor=_actor(by))
    else:
        study.wanted = sorted([*study.wanted, *(pair for pair in wanted if pair not in study.wanted)])
        study.seeds = max(study.seeds, seeds)
        study.save(update_fields=["wanted", "seeds"])
    dispatch.ring(Queue.STUDY)
    return study


def _locked(submission: Submission) -> Submission:
    """The row, so that two who ask at once ask one after the other."""
    rows = Submission.objects.select_related("release__key_revision", "model")
    return rows.select_for_update(of=("self",), no_key=True).get(pk=submission.pk)


def _actor(by: User | None) -> UUID | None:
    return by.actor_id if by else None
