"""Sweeping the merges of a tuned checkpoint with its base. In: a submission and who asks; out: one queued evaluation.

A sweep takes the ordinary way (queue, runner, child, scorer), answers dev and the reported split at every α, and
publishes nothing by itself.
"""

from django.db import transaction

from evaluator.errors import InputError
from evaluator.release.info import info_from_json
from evaluator.release.schema import Split
from leaderboard import asking, states
from leaderboard.boards.names import default_split
from leaderboard.lineage import links
from leaderboard.models import BaseLink, Evaluation, Submission, User
from leaderboard.models.submissions import Purpose, SubmissionKind
from leaderboard.queue import Queue, dispatch
from leaderboard.states import EVALUATION_ENDS, EvaluationState, SubmissionState

STEPS = 20
ALPHAS = tuple(round(step / STEPS, 6) for step in range(STEPS + 1))
ENDED_WITHOUT = (EvaluationState.FAILED, EvaluationState.CANCELLED)


def ask(submission: Submission, *, by: User) -> Evaluation:
    """Queue the sweep between `submission` and the base it names; the one that stands or runs is returned as it is.

    Raises InputError where there is nothing to sweep, with what to do about it.
    """
    with transaction.atomic():
        tuned = Submission.objects.select_for_update(no_key=True).get(pk=submission.pk)
        base = require_pair(links.in_force(tuned), tuned)
        if standing := latest(tuned, base):
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


def latest(tuned: Submission, base: Submission) -> Evaluation | None:
    """The last sweep between the two, however it stands."""
    return Evaluation.objects.filter(submission=tuned, base=base, purpose=Purpose.SWEEP).order_by("created_at").last()


def is_going_on(sweep: Evaluation | None) -> bool:
    """Whether it is waiting, running or being scored."""
    return sweep is not None and sweep.state not in EVALUATION_ENDS


def reported_split(tuned: Submission) -> Split:
    """The split that a sweep is reported on: the hidden one that readers see first."""
    return default_split(info_from_json(tuned.release.info))


def splits_answered(sweep: Evaluation) -> tuple[Split, ...]:
    """dev, where α is chosen, and the reported split."""
    reported = Split(sweep.split)
    has_dev = Split.DEV in sweep.submission.release.info["splits"]
    return (Split.DEV, reported) if has_dev and reported is not Split.DEV else (reported,)


def require_pair(link: BaseLink | None, tuned: Submission) -> Submission:
    """The base of a pair whose weights can be merged; InputError says why there is none."""
    if link is None:
        message = "Say first what it was tuned from: name its base."
        raise InputError.single("no_base", message, field=links.FIELD)
    if link.base is None:
        message = (f"Nothing of {link.model} was submitted on {tuned.release}. Upload its checkpoint, which may stay "
                   "private, and name that submission.")  # fmt: skip
        raise InputError.single("base_without_submission", message, field=links.FIELD)
    for which, found in (("This submission", tuned), (f"The base {link.model}", link.base)):
        if found.kind != SubmissionKind.CHECKPOINT:
            message = f"{which} is a {found.kind} file without weights, so there is nothing to merge."
            raise InputError.single("not_a_checkpoint", message, field=links.FIELD)
        if found.state in links.GONE:
            message = f"{which} was {found.state}, so its weights are not to be used. Name another base."
            raise InputError.single(f"base_{found.state}", message, field=links.FIELD)
        if found.state != SubmissionState.ACCEPTED:
            message = f"{which} is still {found.state}. Ask again once it was checked."
            raise InputError.single("not_accepted", message, field=links.FIELD)
    return link.base
