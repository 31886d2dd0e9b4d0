"""Submitting: every problem at the door, quotas under concurrency, idempotency, withdrawal, the combined line."""

from datetime import timedelta

import numpy as np
import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone
from safetensors.numpy import save_file

from evaluator.errors import InputError
from leaderboard import outcomes, quota, submissions
from leaderboard.intake import NewSubmission
from leaderboard.models import Entry, Event, Model, QuotaSlot, Report, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.publication import publish, publish_all
from leaderboard.states import EvaluationState, SubmissionState, TransitionRefused
from leaderboard.uploads import received_from
from tests.builders.leaderboard import make_evaluation, make_model, make_release, make_submission, make_user
from tests.builders.threads import in_threads

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return make_user()


@pytest.fixture
def release():
    return make_release()


@pytest.fixture
def checkpoint(tmp_path, release):
    """Makes requests to submit a small valid file; a seed makes another file."""

    def make(model="my-clip", seed=0, **changes):
        path = tmp_path / f"weights-{seed}.safetensors"
        save_file({"a": np.full(4, seed, np.float32)}, path)
        fields = dict(release=release, model=model, kind=SubmissionKind.CHECKPOINT, architecture="ubench-tiny")
        return NewSubmission(**(fields | {"files": (received_from(path),)} | changes))

    return make


def codes(error) -> list[str]:
    return sorted(problem.code for problem in error.value.problems)


def test_first_submission_creates_the_model_and_keeps_the_file(owner, checkpoint):
    submission = submissions.submit(owner, checkpoint())
    assert submission.state == SubmissionState.UPLOADED
    assert (submission.model.slug, submission.model.owner, submission.model.architecture) == (
        "my-clip", owner, "ubench-tiny",
    )  # fmt: skip
    assert submission.file_sha256 == checkpoint().files[0].sha256 == submission.files[0]["sha256"]
    assert list(submission.events.values_list("to_state", "actor")) == [("uploaded", owner.actor_id)]


def test_another_authors_model_is_forbidden(owner, checkpoint):
    make_model(make_user(), slug="my-clip")
    with pytest.raises(PermissionDenied):
        submissions.submit(owner, checkpoint())
    assert not Submission.objects.exists()


def test_every_problem_is_told_at_once_and_nothing_is_created(owner, checkpoint, tmp_path):
    broken = tmp_path / "bad name.safetensors"
    broken.write_bytes(b"PK\x03\x04 not weights")
    request = checkpoint(
        model="Not A Slug", architecture="no-such", files=(received_from(broken),), sha256="0" * 64,
        base="nobody", target=("colour=blue",),
    )  # fmt: skip
    with pytest.raises(InputError) as error:
        submissions.submit(owner, request)
    assert {"model_name", "unknown_architecture", "file_name", "sha256_mismatch", "unknown_base", "target"} < set(
        codes(error)
    )
    assert not Submission.objects.exists()
    assert not Model.objects.exists()
    assert not QuotaSlot.objects.exists()


def test_prediction_file_needs_an_open_split_and_a_known_kind(owner, checkpoint, tmp_path):
    path = tmp_path / "answers.xlsx"
    path.write_bytes(b"x")
    request = checkpoint(kind=SubmissionKind.PREDICTIONS, files=(received_from(path),), split="sealed")
    with pytest.raises(InputError) as error:
        submissions.submit(owner, request)
    assert codes(error) == ["file_kind", "split"]


def test_empty_and_oversized_files_are_refused(owner, checkpoint, tmp_path, settings):
    empty = tmp_path / "empty.safetensors"
    empty.touch()
    with pytest.raises(InputError) as error:
        submissions.submit(owner, checkpoint(files=(received_from(empty),)))
    assert "file_empty" in codes(error)
    settings.MAX_UPLOAD_BYTES = 10
    with pytest.raises(InputError) as error:
        submissions.submit(owner, checkpoint())
    assert codes(error) == ["file_too_large"]


def test_repeated_idempotency_key_returns_the_same_submission(owner, checkpoint):
    first = submissions.submit(owner, checkpoint(idempotency_key="k"))
    assert submissions.submit(owner, checkpoint(idempotency_key="k")) == first
    with pytest.raises(InputError) as error:
        submissions.submit(owner, checkpoint(idempotency_key="k", seed=1))
    assert codes(error) == ["idempotency_key_reused"]
    assert submissions.submit(make_user(), checkpoint(model="other", idempotency_key="k")) != first
    assert QuotaSlot.objects.filter(user=owner).count() == 1


@pytest.mark.django_db(transaction=True)
def test_same_request_ten_times_at_once_makes_one_submission(owner, checkpoint):
    request = checkpoint(idempotency_key="k")
    made = in_threads(lambda: submissions.submit(owner, request), times=10)
    assert len({submission.pk for submission in made}) == 1
    assert Submission.objects.count() == QuotaSlot.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_quota_holds_against_many_requests_at_once(owner, checkpoint, settings):
    settings.SUBMISSIONS_PER_DAY = 3
    request = checkpoint()

    def submit():
        try:
            return submissions.submit(owner, request)
        except quota.QuotaExceeded as exceeded:
            return exceeded

    results = in_threads(submit, times=10)
    refused = [result for result in results if isinstance(result, quota.QuotaExceeded)]
    assert len(refused) == 7
    assert Submission.objects.count() == 3
    assert timedelta(0) < refused[0].next_allowed_at - timezone.now() <= timedelta(days=1)
    assert "next one is allowed at" in str(refused[0])


def test_rejected_failed_and_cancelled_cost_nothing_but_scored_does(owner, checkpoint, settings):
    settings.SUBMISSIONS_PER_DAY = 1
    rejected = submissions.submit(owner, checkpoint())
    put_into(rejected, SubmissionState.VALIDATING)
    outcomes.reject(rejected, InputError.single("x", "Fix it."))
    failed = submissions.submit(owner, checkpoint())
    put_into(failed, SubmissionState.ACCEPTED)
    outcomes.fail(make_evaluation(failed), "oom", "too big")
    half = submissions.submit(owner, checkpoint())
    put_into(half, SubmissionState.ACCEPTED)
    make_evaluation(half, state=EvaluationState.SCORED, split="dev")
    submissions.cancel_evaluation(make_evaluation(half), by=owner)
    with pytest.raises(quota.QuotaExceeded):
        submissions.submit(owner, checkpoint())


def put_into(submission, state):
    Submission.objects.filter(pk=submission.pk).update(state=state)
    submission.refresh_from_db()


def test_submitting_works_while_redis_is_down(
    owner, checkpoint, settings, tmp_path, django_capture_on_commit_callbacks
):
    settings.REDIS_URL = f"unix://{tmp_path}/none"
    with django_capture_on_commit_callbacks(execute=True) as rung:
        assert submissions.submit(owner, checkpoint()).state == SubmissionState.UPLOADED
    assert len(rung) == 1


def test_withdrawing_cancels_what_runs_and_leaves_a_tombstone(owner, release):
    submission = make_submission(owner, release)
    running = make_evaluation(submission, state=EvaluationState.RUNNING, token=1)
    entry = publish(scored_report(submission, "dev"), by=owner)
    submissions.withdraw(submission, by=owner)
    running.refresh_from_db()
    entry.refresh_from_db()
    assert (submission.state, running.state) == ("withdrawn", "cancelled")
    assert entry.withdrawn
    assert entry.superseded_at is not None
    with pytest.raises(TransitionRefused):
        publish(entry.report, by=owner)


def test_publishing_twice_makes_one_entry_and_a_new_report_supersedes_the_old(owner, release):
    submission = make_submission(owner, release)
    old = scored_report(submission, "test")
    first = publish(old, by=owner)
    assert publish(old, by=owner) == first
    new = Report.objects.create(
        evaluation=old.evaluation, key_revision=old.key_revision, scorer="2", document={}, sha256=""
    )
    second = publish(new, by=owner)
    first.refresh_from_db()
    assert first.superseded_at is not None
    assert not first.withdrawn
    assert list(Entry.objects.filter(superseded_at=None)) == [second]
    assert Event.objects.filter(to_state="published").count() == 2


def test_publishing_a_submission_covers_what_is_scored_later(owner, release):
    submission = make_submission(owner, release)
    scored_report(submission, "dev")
    assert len(publish_all(submission, by=owner)) == 1
    submission.refresh_from_db()
    assert submission.publish


def test_retry_is_a_new_evaluation_and_only_of_an_ended_one(owner, release):
    staff = make_user(is_staff=True)
    failed = make_evaluation(make_submission(owner, release), state=EvaluationState.FAILED)
    again = submissions.retry_evaluation(failed, by=staff)
    assert (again.state, again.split) == (EvaluationState.QUEUED, failed.split)
    for evaluation in (failed, again):
        with pytest.raises(TransitionRefused):
            submissions.retry_evaluation(evaluation, by=staff)


@pytest.mark.parametrize(
    ("states", "line"),
    [
        (["queued", "queued"], "queued"),
        (["scored", "queued"], "queued"),
        (["answered", "queued"], "scoring"),
        (["answered", "running"], "running"),
        (["scored", "scored"], "scored"),
        (["scored", "failed"], "failed"),
        (["scored", "cancelled"], "cancelled"),
    ],
)
def test_combined_line(owner, release, states, line):
    submission = make_submission(owner, release)
    for split, state in zip(("dev", "test"), states, strict=True):
        make_evaluation(submission, state=state, split=split)
    assert submissions.combined_state(submission) == line


def test_combined_line_follows_the_retry(owner, release):
    submission = make_submission(owner, release)
    make_evaluation(submission, state=EvaluationState.FAILED)
    make_evaluation(submission, state=EvaluationState.SCORED)
    assert submissions.combined_state(submission) == "scored"


def scored_report(submission, split):
    evaluation = make_evaluation(submission, state=EvaluationState.SCORED, split=split)
    revision = submission.release.key_revision
    return Report.objects.create(evaluation=evaluation, key_revision=revision, scorer="1", document={}, sha256="")
