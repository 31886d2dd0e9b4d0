"""A running system under test: real servers, the real supervisor and its workers, submissions on their way."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from django.conf import settings
from django.db import DatabaseError, connection

from leaderboard import states, storage, submissions
from leaderboard.intake import NewSubmission
from leaderboard.models import Entry, Evaluation, Release, Report, Submission, User
from leaderboard.models.submissions import SubmissionKind
from leaderboard.queue import Queue, dispatch
from leaderboard.services import Services
from leaderboard.states import EvaluationState, SubmissionState
from leaderboard.uploads import received_from
from tests.builders.leaderboard import make_evaluation, make_submission
from tests.builders.system import server_environment, tiny_weights
from tests.builders.waiting import wait_until
from tests.builders.weights import TINY

CHILD = "evaluator.sandbox.child"
STARTED_S = 30.0


@dataclass
class LiveSystem:
    """The supervisor with its workers, and what a test wants to know of them."""

    services: Services
    lease_s: float
    runners: int = 2
    studies: int = 0  # workers of that queue
    variables: dict[str, str] = field(default_factory=dict)  # of the workers' environment
    release: Release | None = None  # of the test that runs now
    users: list[User] = field(default_factory=list)
    process: psutil.Popen | None = None

    def start(self) -> None:
        counts = ("--validate", "1", "--evaluate", str(self.runners), "--score", "1")
        counts += ("--study", str(self.studies))
        environment = server_environment(
            **self.variables,
            LEASE_S=str(self.lease_s),
            HEARTBEAT_S=str(self.lease_s / 6),
            RECONCILE_S="0.5",
            BACKOFF_S="0.5",
        )
        command = [sys.executable, "-m", "django", "work", *counts]
        with self.log.open("ab") as log:
            self.process = psutil.Popen(command, cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log)

    def freeze(self) -> None:
        """Let nothing of it touch the database, so that a test's rows can be deleted."""
        for process in [self.process, *self.process.children()]:
            process.suspend()
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        with connection.cursor() as cursor:
            cursor.execute(f"{others} AND pid <> pg_backend_pid()")

    def thaw(self) -> None:
        """Go on; lost connections are one more thing it has to cope with."""
        for process in [*self.process.children(), self.process]:
            process.resume()

    def stop(self) -> list[psutil.Process]:
        """End everything; returns what is left running after that."""
        self.thaw()
        family = self.process.children(recursive=True)
        self.process.terminate()
        self.process.wait(20)
        return [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]

    @property
    def log(self) -> Path:
        """What supervisor and workers say."""
        return settings.DATA_ROOT / "workers.log"

    # --- work ---
    def submit(self, weights: Path | None = None) -> Submission:
        """A checkpoint as its author submits it; all splits of the release, published when scored."""
        new = NewSubmission(
            release=self.release, model=f"model-{Submission.objects.count()}", kind=SubmissionKind.CHECKPOINT,
            files=(received_from(weights or tiny_weights()),), architecture=TINY, publish=True,
        )  # fmt: skip
        return submissions.submit(self.users[Submission.objects.count() % 2], new)

    def accepted(self, weights: Path | None = None, architecture: str = TINY) -> Evaluation:
        """A checkpoint that was validated already, with one evaluation in the queue."""
        file = received_from(weights or tiny_weights())
        blob = storage.put_received(file)
        submission = make_submission(
            self.users[Submission.objects.count() % 2], self.release, architecture=architecture, publish=True,
            file_name=file.name, file_sha256=blob.sha256, file_size=blob.size,
            files=[{"name": file.name, "sha256": blob.sha256, "size": blob.size}],
        )  # fmt: skip
        evaluation = make_evaluation(submission, split=next(iter(self.release.info["splits"])))
        states.record(submission=submission, evaluation=evaluation, to_state=evaluation.state)
        dispatch.ring_now(Queue.EVALUATE)
        return evaluation

    # --- processes ---
    def workers(self, queue: Queue) -> list[psutil.Process]:
        return [child for child in self.process.children() if [*child.cmdline(), ""][3:5] == ["worker", queue]]

    def runner_of(self, evaluation: Evaluation) -> psutil.Process:
        """The worker process that holds the evaluation; its child is running."""

        def look() -> psutil.Process | None:
            found = Evaluation.objects.get(pk=evaluation.pk)
            if found.state != EvaluationState.RUNNING:
                return None
            pids = {runner.pid: runner for runner in self.workers(Queue.EVALUATE)}
            runner = next((process for pid, process in pids.items() if f"-{pid}-" in found.worker), None)
            return runner if runner and found.progress and children_of(runner) else None

        return wait_until(look, within_s=STARTED_S, every_s=0.02)

    # --- the checker ---
    def assert_scored_once(self, submission: Submission, *, within_s: float) -> None:
        """Every split ends scored: one scored evaluation, one report, one live entry; tokens never go back."""
        n_splits = submission.evaluations.values("split").distinct().count()
        wait_until(lambda: self._is_done(submission), within_s=within_s, every_s=0.2)
        submission.refresh_from_db()
        assert submission.state == SubmissionState.ACCEPTED, submission.problems
        evaluations = list(submission.evaluations.all())
        told = [(evaluation.split, evaluation.state, evaluation.failure_message) for evaluation in evaluations]
        scored = Counter(evaluation.split for evaluation in evaluations if evaluation.state == EvaluationState.SCORED)
        assert set(scored.values()) == {1} and len(scored) >= n_splits, told
        reports = Counter(Report.objects.filter(evaluation__submission=submission).values_list("evaluation__split"))
        entries = Counter(Entry.objects.filter(submission=submission, superseded_at=None).values_list("split"))
        assert reports == entries == Counter({(split,): 1 for split in scored}), (reports, entries)
        for evaluation in evaluations:
            fenced = evaluation.events.filter(to_state="fenced").values_list("pk", flat=True)
            tokens = evaluation.events.exclude(pk__in=fenced).exclude(token=None).values_list("token", flat=True)
            assert list(tokens) == sorted(tokens), told

    @staticmethod
    def _is_done(submission: Submission) -> bool:
        try:
            found = Submission.objects.get(pk=submission.pk)
            return submissions.combined_state(found) in ("scored", "failed", "cancelled", "rejected")
        except DatabaseError:
            connection.close()
            return False


def children_of(runner: psutil.Process) -> list[psutil.Process]:
    """The sandboxed processes of a runner, the outermost first."""
    return [child for child in runner.children(recursive=True) if CHILD in " ".join(child.cmdline())]
