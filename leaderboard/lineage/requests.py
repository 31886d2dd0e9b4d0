"""Asking for analyses. In: what changed; out: rows that a scorer serves, so that no change is lost in a crash."""

from django.db.models import Q

from leaderboard import permissions
from leaderboard.models import AnalysisRequest, BaseLink, Submission
from leaderboard.queue import Queue, dispatch


def request(link: BaseLink) -> None:
    """Have the analyses of a link brought up to date after this transaction."""
    AnalysisRequest.objects.create(link=link)
    dispatch.ring(Queue.SCORE)


def request_for(submission: Submission) -> None:
    """A report of the submission is new, or can be seen by more people: serve every link that it is a side of."""
    _fill_empty(submission)
    for link in BaseLink.objects.filter(Q(submission=submission) | Q(base=submission), superseded_at=None):
        request(link)


def _fill_empty(submission: Submission) -> None:
    """Links that named the model before anything of it stood on the release get their base now, where their author may
    know of it. The one thing that a link learns later."""
    empty = BaseLink.objects.filter(
        base=None, superseded_at=None, model=submission.model_id, submission__release=submission.release_id
    )
    for link in empty.exclude(submission=submission).select_related("submission__owner"):
        known = permissions.visible_to(link.submission.owner, Submission.objects.filter(pk=submission.pk))
        if known.exists():
            BaseLink.objects.filter(pk=link.pk, base=None).update(base=submission)
