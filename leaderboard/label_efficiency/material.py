"""What the studies of a submission are made from. In: a submission; out: its embeddings and report, or why not.

Embeddings are those of the latest scored run that kept them: of answering, or of a run for embeddings alone.
"""

from dataclasses import dataclass

from evaluator.architectures.architecture import Family
from evaluator.architectures.registry import get_architecture
from evaluator.errors import InputError
from evaluator.release.schema import Split
from evaluator.scoring import SCORER_VERSION
from leaderboard.label_efficiency.pools import EVALUATED, POOL
from leaderboard.models import Evaluation, KeyRevision, Report, Submission
from leaderboard.models.submissions import Purpose, SubmissionKind
from leaderboard.states import EvaluationState, SubmissionState

GONE = (SubmissionState.REJECTED, SubmissionState.WITHDRAWN)
NOT_ENCODERS = {
    Family.GENERATIVE: "A generative model writes replies and gives no image embeddings, so no head can be trained.",
    Family.DETECTOR: "A detector draws boxes and gives no image embeddings, so no head can be trained.",
}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Of what a document was made, besides the release: another value makes what stands out of date."""

    dev_evaluation: Evaluation
    test_evaluation: Evaluation
    key_revision: KeyRevision


@dataclass(frozen=True, kw_only=True)
class Material(Origin):
    """The same, with the report of test, whose marks are the zero-shot line."""

    report: Report


def refusal(submission: Submission) -> str:
    """Why label efficiency does not apply to the submission, a sentence; empty when it does."""
    if submission.kind == SubmissionKind.PREDICTIONS:
        return "A prediction file holds answers and no image embeddings, so no head can be trained."
    if submission.kind == SubmissionKind.BASELINE:
        return "A baseline is a reference beside the models, not an encoder."
    if submission.state in GONE:
        return f"The submission is {submission.state}."
    if lacking := [split for split in (POOL, EVALUATED) if split not in submission.release.info["splits"]]:
        return f"The release has no split {lacking[0]}: labels come from {POOL} and are scored on {EVALUATED}."
    try:
        family = get_architecture(submission.architecture).family
    except InputError as error:
        return error.problems[0].message
    return NOT_ENCODERS.get(family, "")


def embedded(submission: Submission, split: Split) -> Evaluation | None:
    """The latest scored evaluation of the split that kept its embeddings."""
    rows = submission.evaluations.filter(split=split, state=EvaluationState.SCORED).exclude(embeddings_sha256="")
    return rows.filter(purpose__in=(Purpose.SCORE, Purpose.EMBED)).order_by("created_at").last()


def report_in_force(submission: Submission, split: Split) -> Report | None:
    """The report of the split by the key and the scorer in force."""
    of = Report.objects.filter(evaluation__submission=submission, evaluation__split=split)
    in_force = of.filter(
        evaluation__purpose=Purpose.SCORE, evaluation__state=EvaluationState.SCORED, scorer=SCORER_VERSION,
        key_revision=submission.release.key_revision,
    )  # fmt: skip
    return in_force.order_by("pk").last()


def is_scored(submission: Submission) -> bool:
    """Whether pool and evaluation are both scored by the key in force: earlier, nothing is asked for."""
    return all(report_in_force(submission, split) is not None for split in (POOL, EVALUATED))


def without_embeddings(submission: Submission) -> list[Split]:
    """The splits of which no scored run kept embeddings."""
    return [split for split in (POOL, EVALUATED) if embedded(submission, split) is None]


def material_of(submission: Submission) -> Material | None:
    """What its studies can be made from now; None while something is missing."""
    dev, test, report = embedded(submission, POOL), embedded(submission, EVALUATED), None
    if is_scored(submission):
        report = report_in_force(submission, EVALUATED)
    if dev is None or test is None or report is None:
        return None
    return Material(
        dev_evaluation=dev, test_evaluation=test, report=report, key_revision=submission.release.key_in_force
    )  # fmt: skip
