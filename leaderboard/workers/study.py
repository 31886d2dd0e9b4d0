"""Doing a study. In: a claimed one; out: its documents stored, or why there are none.

In the scorer's zone: reads KEY_ROOT and stored embeddings, never weights. Heads are trained in a process of their own
that gets embeddings and the labels of the pool; what it predicts is marked here.
"""

import logging
import time
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db import DatabaseError, connection

from evaluator.active_learning.studies.process import perform_apart
from evaluator.active_learning.tasks import Result, Task
from evaluator.errors import EvaluationFailed, InputError
from leaderboard.label_efficiency import efficiency, strategies
from leaderboard.label_efficiency.material import refusal
from leaderboard.models import Study
from leaderboard.models.label_efficiency import StudyKind
from leaderboard.queue.claims import Claim

log = logging.getLogger(__name__)
PROGRESS_S = 2.0  # between two writes of progress


def study(claim: Claim, should_stop: Callable[[], bool]) -> None:
    """Compute what the study wants and is not there yet; raises EvaluationFailed or InputError without a result."""
    row = Study.objects.select_related("submission__release__key_revision").get(pk=claim.pk)
    if reason := refusal(row.submission):
        raise InputError.single("not_applicable", reason)
    settings.WORK_ROOT.mkdir(parents=True, exist_ok=True)
    progress = Progress(claim, should_stop)

    def perform(tasks: Sequence[Task]) -> list[Result]:
        found = perform_apart(
            tasks, threads=settings.STUDY_THREADS, timeout_s=settings.STUDY_TIMEOUT_S, on_progress=progress,
            folder=settings.WORK_ROOT,
        )  # fmt: skip
        progress.require_held()
        return found

    compute = efficiency.compute if row.kind == StudyKind.EFFICIENCY else strategies.compute
    compute(row, claim, perform)


class Progress:
    """Writes how far the study is, sparingly, and ends it when its worker must stop; a lost database ends nothing."""

    def __init__(self, claim: Claim, should_stop: Callable[[], bool]) -> None:
        self._claim = claim
        self._should_stop = should_stop
        self._written = 0.0

    def require_held(self) -> None:
        """Raise EvaluationFailed when nothing may be written any more."""
        if self._should_stop():
            raise EvaluationFailed("stopped", "the worker was told to stop", retry=True)

    def __call__(self, done: float, total: int) -> None:
        self.require_held()
        if (now := time.monotonic()) - self._written < PROGRESS_S:
            return
        try:
            progress = {"stage": "train heads", "done": round(done, 1), "total": total}
            self._claim.held().update(progress=progress)
        except DatabaseError as error:
            log.warning("progress of study %s: %s", self._claim.pk, error)
            connection.close()
        self._written = now
