"""Sweeping the merges of a tuned checkpoint with its base. In: a submission and who asks; out: one queued evaluation.

A sweep takes the ordinary way (queue, runner, child, scorer), answers dev and the reported split at every α, and
publishes nothing by itself.
"""

from django.db import transaction

from evaluator.errors import InputError
from evaluator.release.info import info_from_json
from evaluator.release.schema import Split
from leaderboard import asking, states
from leaderboard.lineage import pairs
from leaderboard.models import Evaluation, Submission, User
from leaderboard.models.submissions import Purpose
from leaderboard.queue import Queue, dispatch
from leaderboard.states import EvaluationState

ENDED_WITHOUT = (EvaluationState.FAILED, EvaluationState.CANCELLED)


def ask(submission: Submission, *, by: User) -> Evaluation:
    """Queue the sweep between `submission` and the base it names; the one that stands or runs is returned as it is.

    Raises InputError where there is nothing to sweep, with what to do about it.
    """
    with transaction.atomic():
        tuned = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
        base = pairs.require_pair(pairs.in_force(tuned), tuned)
        if standing := pairs.latest_sweep(tuned, base):
            if standing.state not in ENDED_WITHOUT:
                return standing
        split = reported_split(tuned)
        protocol = asking.protocols_asked(tuned.release, tuned.architecture).get(split)
        if protocol is None:
            message = f"The {split} split asks models of this kind nothing, so there is nothing to sweep."
            raise InputError.single("nothing_to_ask", message)
        evaluation = Evaluation.objects.create(
            submission=tuned, base=base, split=split, purpose=Purpose.SWEEP, protocol=protocol
        )
        states.record(
            submission=tuned, evaluation=evaluation, to_state=evaluation.state, actor=by.actor_id,
            note=f"sweep with base {base.pk}",
        )  # fmt: skip
        dispatch.ring(Queue.EVALUATE)
    return evaluation


def reported_split(tuned: Submission) -> Split:
    """The split that a sweep is reported on: the hidden one that readers see first."""
    return info_from_json(tuned.release.info).default_split
