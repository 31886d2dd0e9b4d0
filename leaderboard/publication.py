"""Publishing reports. In: a report and who decides; out: entries on the boards, never deleted, only superseded."""

from django.db import transaction
from django.db.models.functions import Now

from evaluator.release.schema import Split
from leaderboard import states
from leaderboard.lineage import requests
from leaderboard.models import BoardRefresh, Entry, Release, Report, Submission, User
from leaderboard.models.submissions import Purpose
from leaderboard.queue import Queue, dispatch
from leaderboard.states import EvaluationState, SubmissionState, TransitionRefused


def publish(report: Report, *, by: User | None) -> Entry:
    """Put a report on the boards of its split; an older report of the same submission gives way to it.

    `by` is None when the system renews an entry. Publishing twice returns the entry that stands. Raises
    TransitionRefused for a withdrawn submission.
    """
    with transaction.atomic():
        submission = Submission.objects.select_for_update(no_key=True).get(pk=report.evaluation.submission_id)
        if submission.state != SubmissionState.ACCEPTED:
            raise TransitionRefused(f"submission {submission.pk} is {submission.state}: it cannot be published")
        _require_public(submission)
        live = Entry.objects.filter(submission=submission, split=report.evaluation.split, superseded_at=None)
        if standing := live.filter(report=report).first():
            return standing
        live.update(superseded_at=Now())
        entry = Entry.objects.create(
            report=report, submission=submission, model=submission.model, release=submission.release,
            split=report.evaluation.split, published_at=Now(),
        )  # fmt: skip
        states.record(
            submission=submission, evaluation=report.evaluation, to_state="published",
            actor=by.actor_id if by else None,
            note=f"{entry.split}: key {report.key_revision.number}, scorer {report.scorer}",
        )  # fmt: skip
        request_boards(submission.release, entry.split)
        requests.request_for(submission)
    entry.refresh_from_db()
    return entry


def publish_all(submission: Submission, *, by: User) -> list[Entry]:
    """Publish the latest report of every scored evaluation of a submission, and those to come when they are scored."""
    _require_public(submission)
    with transaction.atomic():
        Submission.objects.filter(pk=submission.pk).update(publish=True)
        scored = submission.evaluations.filter(state=EvaluationState.SCORED, purpose=Purpose.SCORE)
        return [publish(evaluation.reports.latest("pk"), by=by) for evaluation in scored]


def _require_public(submission: Submission) -> None:
    if submission.kept_private:
        raise TransitionRefused(f"submission {submission.pk} is a base that is kept private: it is never published")


def withdraw(submission: Submission, *, by: User) -> None:
    """Turn a submission's live entries into tombstones."""
    with transaction.atomic():
        live = Entry.objects.filter(submission=submission, superseded_at=None)
        for entry in live.select_for_update():
            states.record(submission=submission, evaluation_id=entry.report.evaluation_id, to_state="withdrawn",
                          actor=by.actor_id, note=f"{entry.split}: entry withdrawn")  # fmt: skip
            request_boards(entry.release, entry.split)
        live.update(superseded_at=Now(), withdrawn=True)


def request_boards(release: Release, split: str | Split) -> None:
    """Ask for the boards of a split to be rebuilt after this transaction, by a worker; the request outlives a crash."""
    BoardRefresh.objects.create(release=release, split=split)
    dispatch.ring(Queue.SCORE)
