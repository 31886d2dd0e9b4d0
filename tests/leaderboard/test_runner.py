"""What a runner keeps of an unfinished run (parts, under its token), and when it claims nothing (a sick device)."""

import subprocess
import sys
from dataclasses import replace

import pytest
from django.conf import settings

from evaluator.answering.parts import Part
from evaluator.encoders.choices import Device, Precision
from evaluator.release.schema import Split
from evaluator.sandbox import AnswerJob
from evaluator.sandbox.fingerprint import fingerprint
from leaderboard import outcomes, parts, storage
from leaderboard.models import Evaluation, EvaluationPart, WorkerStatus
from leaderboard.queue import Queue, claims
from leaderboard.states import EvaluationState, TransitionRefused
from leaderboard.workers import run
from leaderboard.workers.drain import drain
from tests.builders.leaderboard import make_evaluation, make_release, make_submission, make_user
from tests.builders.system import import_tiny_release, server_environment, tiny_weights
from tests.builders.waiting import wait_until
from tests.builders.weights import TINY

pytestmark = pytest.mark.django_db(transaction=True)


def part(start: int, stop: int, content: bytes = b"x") -> Part:
    return Part(start=start, stop=stop, content=content)


@pytest.fixture
def claim(transactional_db) -> claims.Claim:
    make_evaluation(make_submission(make_user(), make_release()))
    return claims.claim(Queue.EVALUATE, "w")


def test_parts_are_kept_for_a_run_of_the_same_fingerprint_only(claim):
    evaluation = claim.row()
    parts.keep_part(claim, "a", part(0, 4, b"one"))
    parts.keep_part(claim, "a", part(4, 8, b"two"))
    assert parts.kept_parts(evaluation, "a") == (part(0, 4, b"one"), part(4, 8, b"two"))
    assert parts.kept_parts(evaluation, "b") == ()


def test_who_starts_anew_replaces_what_it_did_not_go_on_from(claim):
    for start in (0, 4, 8):
        parts.keep_part(claim, "a", part(start, start + 4))
    parts.keep_part(claim, "a", part(4, 6, b"smaller"))
    assert parts.kept_parts(claim.row(), "a") == (part(0, 4), part(4, 6, b"smaller"))
    parts.keep_part(claim, "b", part(0, 2))
    assert parts.kept_parts(claim.row(), "a") == () and EvaluationPart.objects.count() == 1


def test_a_worker_that_lost_its_claim_keeps_nothing(claim):
    parts.keep_part(claim, "a", part(0, 4))
    Evaluation.objects.update(token=claim.token + 1)
    with pytest.raises(TransitionRefused):
        parts.keep_part(claim, "a", part(4, 8))
    assert EvaluationPart.objects.count() == 1


@pytest.mark.parametrize("end", ["fail", "cancel"])
def test_parts_go_with_the_end_of_their_evaluation(claim, end):
    parts.keep_part(claim, "a", part(0, 4))
    if end == "fail":
        outcomes.fail(claim.row(), "code", "message", held_token=claim.token)
    else:
        outcomes.cancel(claim.row(), actor=None)
    assert not EvaluationPart.objects.exists()


def checkpoint(release) -> Evaluation:
    with tiny_weights().open("rb") as file:
        blob = storage.put_chunks(iter(lambda: file.read(2**20), b""))
    file = {"name": "tiny.safetensors", "sha256": blob.sha256, "size": blob.size}
    submission = make_submission(
        make_user(), release, architecture=TINY, file_name=file["name"], file_sha256=blob.sha256, files=[file]
    )
    return make_evaluation(submission, split="test")


def test_a_run_goes_on_from_what_an_earlier_one_kept(monkeypatch):
    """The first is stopped by its lease after its first part, as a killed one would be."""
    release = import_tiny_release("goes-on")
    evaluation, undisturbed = checkpoint(release), checkpoint(release)
    first = claims.claim(Queue.EVALUATE, "first")
    assert first.pk == evaluation.pk
    keep = parts.keep_part

    def keep_half(held, same, found):
        content = found.content[: len(found.content) // found.stop * 3]
        keep(held, same, part(found.start, 3, content))
        Evaluation.objects.filter(pk=held.pk).update(token=held.token + 1, state=EvaluationState.QUEUED)
        raise TransitionRefused("lost")

    with monkeypatch.context() as patch, pytest.raises(TransitionRefused):
        patch.setattr(parts, "keep_part", keep_half)
        run.run(first, lambda: False)
    assert EvaluationPart.objects.count() == 1
    assert drain(Queue.EVALUATE) == 2
    evaluation.refresh_from_db()
    undisturbed.refresh_from_db()
    assert evaluation.state == undisturbed.state == EvaluationState.ANSWERED, evaluation.failure_message
    assert (evaluation.run["resumed_at"], undisturbed.run["resumed_at"]) == (3, None)
    assert evaluation.run["counts"]["images"] == 8
    drain(Queue.SCORE)
    reports = [row.reports.get().document for row in (evaluation, undisturbed)]
    assert reports[0] == reports[1]
    assert not EvaluationPart.objects.exists()


def test_a_fingerprint_names_all_that_decides_the_numbers():
    release = storage.release_folder(import_tiny_release("fingerprint"))
    job = AnswerJob(release=release, split=Split.TEST, weights=tiny_weights(), architecture=TINY, weights_sha256="a")
    others = (
        replace(job, split=Split.DEV), replace(job, weights_sha256="b"), replace(job, architecture="ViT-B-32"),
        replace(job, precision=Precision.BF16),
    )  # fmt: skip
    assert len({fingerprint(one) for one in (job, *others)}) == 5
    assert fingerprint(job) == fingerprint(replace(job, timeout_s=1, device=Device.CPU))


def test_a_worker_whose_device_is_not_fit_claims_nothing_and_says_so():
    release = import_tiny_release("sick")
    evaluation = checkpoint(release)
    environment = server_environment(EVALUATION_DEVICE="cuda", SICK_DEVICE_RETRY_S="1")
    command = [sys.executable, "-m", "django", "worker", "evaluate"]
    worker = subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment)
    try:
        told = WorkerStatus.objects.filter(info__has_key="sick")
        wait_until(told.exists, within_s=60)
        assert "torch sees none" in told.get().info["sick"]
    finally:
        worker.terminate()
        worker.wait(20)
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.attempts) == (EvaluationState.QUEUED, 0)


def test_a_device_that_fails_at_work_sends_the_work_back_and_ends_its_worker():
    """The worker starts on a machine whose GPU vanishes after it was found fit: here it never had one."""
    release = import_tiny_release("vanished")
    evaluation = checkpoint(release)
    code = (
        "import django; django.setup()\n"
        "from leaderboard.queue import Queue, dispatch\n"
        "dispatch.ring_now(Queue.EVALUATE)\n"
        "dispatch.serve(Queue.EVALUATE, 'vanished-worker')\n"
    )
    environment = server_environment(EVALUATION_DEVICE="cuda", DJANGO_SETTINGS_MODULE=settings.SETTINGS_MODULE)
    worker = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.BASE_DIR, env=environment, timeout=90, check=False
    )
    assert worker.returncode == 0
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.attempts) == (EvaluationState.QUEUED, 1)
    assert evaluation.events.last().note == "no_gpu"
