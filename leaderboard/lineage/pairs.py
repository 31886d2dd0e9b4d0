"""Base and tuned as a pair: who they are, whether their weights can be merged, what was asked of them. In: rows; out:
rows or a refusal. Knows no key, so that validator and runner may ask here too.
"""

from dataclasses import dataclass

from evaluator.analyses.target import Target, parse_target
from evaluator.errors import InputError
from evaluator.release.schema import Split
from leaderboard.models import BaseLink, Evaluation, Submission
from leaderboard.models.submissions import Purpose, SubmissionKind
from leaderboard.states import EVALUATION_ENDS, SubmissionState

FIELD = "base"
GONE = (SubmissionState.REJECTED, SubmissionState.WITHDRAWN)
STEPS = 20
ALPHAS = tuple(round(step / STEPS, 6) for step in range(STEPS + 1))


@dataclass(frozen=True, kw_only=True)
class Parent:
    """One of the checkpoints that a merge is the weighted mean of."""

    submission: Submission
    weight: float


def in_force(submission: Submission) -> BaseLink | None:
    """What its author says now."""
    return BaseLink.objects.filter(submission=submission, superseded_at=None).first()


def target_of(link: BaseLink) -> Target | None:
    """The link's target domain; None where none was declared."""
    return parse_target(link.target) if link.target else None


def require_pair(link: BaseLink | None, tuned: Submission) -> Submission:
    """The base of a pair whose weights can be merged; InputError says why there is none."""
    if link is None:
        message = "Say first what it was tuned from: name its base."
        raise InputError.single("no_base", message, field=FIELD)
    if link.base is None:
        message = (f"Nothing of {link.model} was submitted on {tuned.release}. Upload its checkpoint, which may stay "
                   "private, and name that submission.")  # fmt: skip
        raise InputError.single("base_without_submission", message, field=FIELD)
    for which, found in (("This submission", tuned), (f"The base {link.model}", link.base)):
        if found.kind != SubmissionKind.CHECKPOINT:
            message = f"{which} is a {found.kind} file without weights, so there is nothing to merge."
            raise InputError.single("not_a_checkpoint", message, field=FIELD)
        if found.state in GONE:
            message = f"{which} was {found.state}, so its weights are not to be used. Name another base."
            raise InputError.single(f"base_{found.state}", message, field=FIELD)
        if found.state != SubmissionState.ACCEPTED:
            message = f"{which} is still {found.state}. Ask again once it was checked."
            raise InputError.single("not_accepted", message, field=FIELD)
    return link.base


def latest_sweep(tuned: Submission, base: Submission) -> Evaluation | None:
    """The last sweep between the two, however it stands."""
    return Evaluation.objects.filter(submission=tuned, base=base, purpose=Purpose.SWEEP).order_by("created_at").last()


def is_going_on(sweep: Evaluation | None) -> bool:
    """Whether it is waiting, running or being scored."""
    return sweep is not None and sweep.state not in EVALUATION_ENDS


def splits_answered(sweep: Evaluation) -> tuple[Split, ...]:
    """dev, where α is chosen, and the reported split."""
    reported = Split(sweep.split)
    has_dev = Split.DEV in sweep.submission.release.info["splits"]
    return (Split.DEV, reported) if has_dev and reported is not Split.DEV else (reported,)


def parents_of(derived: Submission) -> list[Parent]:
    """What a derived submission is made of, in the order in which it was stated."""
    stated = (derived.merge or {}).get("parts", [])
    found = Submission.objects.select_related("model", "release").in_bulk([part["submission"] for part in stated])
    by_id = {str(pk): submission for pk, submission in found.items()}
    return [Parent(submission=by_id[part["submission"]], weight=part["weight"]) for part in stated]
