"""The path of a submission through the workers, in one process: from file to number, and every way it can end."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.test.utils import override_settings
from knox.models import AuthToken

from evaluator.answers import read_answers
from evaluator.release.importer import import_hub
from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from evaluator.sandbox import SandboxLevel
from leaderboard import rescoring, storage, submissions
from leaderboard.boards.snapshots import get_board
from leaderboard.intake import NewSubmission
from leaderboard.models import Entry, Evaluation, KeyRevision, LogLine, Report, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.publication import publish_all
from leaderboard.queue import Queue
from leaderboard.states import EvaluationState, SubmissionState
from leaderboard.uploads import received_from
from leaderboard.workers import run
from leaderboard.workers.drain import drain
from tests.builders.leaderboard import make_evaluation, make_submission, make_user
from tests.builders.system import import_tiny_release, tiny_hub, tiny_weights
from tests.builders.weights import TINY, tiny_state, write_shards

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def release(tmp_path, settings, services):
    """A release of dev and test with its baselines still to be scored, in folders of this test."""
    settings.RELEASE_ROOT, settings.KEY_ROOT = tmp_path / "releases", tmp_path / "keys"
    return import_tiny_release(hub=tiny_hub(("dev", "test")))


@pytest.fixture
def owner():
    return make_user()


def submit(owner, release, path, **fields):
    fields = {"kind": SubmissionKind.PREDICTIONS, "split": "test", "publish": True, "model": "mine"} | fields
    return submissions.submit(owner, NewSubmission(release=release, files=(received_from(path),), **fields))


def first_options(release, split="test") -> list[dict]:
    """A complete prediction file that always chooses the first option of the question form."""
    rows = read_questions(storage.release_folder(release), Split(split)).to_pylist()
    return [
        {"dataset": row["dataset"], "image_id": row["image_id"], "question": row["question"], "option": 0}
        for row in rows if row["variant"] is None
    ]  # fmt: skip


def place(row: dict) -> tuple[str, str, str]:
    return row["dataset"], row["image_id"], row["question"]


def share_right(release, chosen: dict, variant: int | None) -> float:
    """The slow definition of pooled accuracy on test, from the key file itself."""
    key = pq.read_table(storage.key_folder(release, 1) / "test.parquet").to_pylist()
    marks = [
        chosen[row["dataset"], row["image_id"], answer["question"]] == answer["answer_idx"]
        for row in key for answer in row["answers"] if answer["variant"] == variant
    ]  # fmt: skip
    return sum(marks) / len(marks)


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_checkpoint_goes_from_file_to_published_number(release, owner, settings, tmp_path):
    submission = submit(owner, release, tiny_weights(), kind=SubmissionKind.CHECKPOINT, architecture=TINY, split="")
    assert drain(Queue.VALIDATE) == 1
    submission.refresh_from_db()
    assert submission.state == SubmissionState.ACCEPTED, submission.problems
    assert submission.facts["architecture"] == TINY
    with override_settings(KEY_ROOT=None):  # as in a runner: it cannot even ask where keys are
        assert drain(Queue.EVALUATE) == 2
    evaluation = submission.evaluations.get(split="test")
    assert evaluation.state == EvaluationState.ANSWERED, evaluation.failure_message
    with storage.local_path(evaluation.answers_sha256) as path:
        answers = read_answers(path)
    assert answers.num_rows == 96  # 8 images, 6 kinds, 2 captions
    assert storage.exists(evaluation.embeddings_sha256)
    assert evaluation.run["sandbox"] == "bubblewrap"
    assert "embed images (step 4 of 5): 8 of 8" in "\n".join(LogLine.objects.values_list("text", flat=True))
    drain(Queue.SCORE)
    report = Report.objects.get(evaluation=evaluation)
    for variant in (0, 1):
        chosen = {place(row): row["chosen"] for row in answers.to_pylist() if row["variant"] == variant}
        found = report.document["aggregates"]["pooled"][str(variant)]["estimate"]
        assert found == pytest.approx(share_right(release, chosen, variant), abs=1e-6)
    assert Entry.objects.get(submission=submission, split="test").report == report
    assert submissions.combined_state(submission) == "scored"


def test_shards_sent_by_api_answer_as_the_one_file_does(release, owner, tmp_path):
    write_shards(tiny_state(0), tmp_path)
    _, token = AuthToken.objects.create(owner, expiry=timedelta(days=1))
    files = [SimpleUploadedFile(path.name, path.read_bytes()) for path in tmp_path.glob("model*")]
    fields = {"kind": "checkpoint", "release": release.slug, "model": "shards", "architecture": TINY, "file": files}
    sent = Client().post("/api/v1/submissions/", fields, headers={"authorization": f"Token {token}"})
    assert sent.status_code == 201, sent.content
    whole = submit(owner, release, tiny_weights(), kind=SubmissionKind.CHECKPOINT, architecture=TINY, split="")
    assert drain(Queue.VALIDATE) == 2
    sharded = Submission.objects.get(pk=sent.json()["id"])
    assert sharded.state == SubmissionState.ACCEPTED, sharded.problems
    assert sharded.facts["sha256"] == sharded.file_sha256 != whole.file_sha256
    assert drain(Queue.EVALUATE) == 4
    for split in ("dev", "test"):
        digests = {each.evaluations.get(split=split).answers_sha256 for each in (whole, sharded)}
        assert len(digests) == 1 and "" not in digests


def test_prediction_file_is_scored_by_the_same_scorer(release, owner, tmp_path):
    path = write_jsonl(tmp_path / "mine.jsonl", first_options(release))
    submission = submit(owner, release, path, publish=False)
    drain(Queue.VALIDATE)
    evaluation = submission.evaluations.get()
    assert (evaluation.split, evaluation.state, evaluation.protocol) == ("test", "answered", "self-reported")
    drain(Queue.SCORE)
    document = Report.objects.get(evaluation=evaluation).document
    chosen = {place(row): row["option"] for row in first_options(release)}
    found = document["aggregates"]["pooled"]["null"]["estimate"]
    assert found == pytest.approx(share_right(release, chosen, None), abs=1e-6)
    assert not Entry.objects.filter(submission=submission).exists()
    publish_all(submission, by=owner)
    assert Entry.objects.filter(submission=submission).count() == 1


def test_wrong_prediction_file_is_rejected_with_every_problem_and_costs_nothing(release, owner, tmp_path):
    rows = first_options(release)
    rows[0]["option"] = "no such option"
    rows[1]["image_id"] = "nobody"
    submission = submit(owner, release, write_jsonl(tmp_path / "mine.jsonl", rows[:-1] + [rows[2]]))
    drain(Queue.VALIDATE)
    submission.refresh_from_db()
    assert submission.state == SubmissionState.REJECTED
    assert len(submission.problem_counts) >= 3
    assert all(problem["message"] for problem in submission.problems)
    assert not submission.evaluations.exists()
    assert not hasattr(submission, "quota_slot")


def test_weights_of_another_shape_are_rejected_by_the_sandboxed_check(release, owner, tmp_path):
    submission = submit(
        owner, release, tiny_weights(), kind=SubmissionKind.CHECKPOINT, architecture="ViT-B-32", split=""
    )
    drain(Queue.VALIDATE)
    submission.refresh_from_db()
    assert submission.state == SubmissionState.REJECTED
    assert submission.problems


def test_hidden_split_is_not_answered_in_a_weak_sandbox(release, owner, monkeypatch):
    monkeypatch.setattr(run, "sandbox_level", lambda: SandboxLevel.WEAK)
    evaluation = make_evaluation(make_submission(owner, release), split="test")
    with override_settings(ALLOW_WEAK_SANDBOX=False):
        drain(Queue.EVALUATE)
    evaluation.refresh_from_db()
    assert (evaluation.state, evaluation.failure_code) == (EvaluationState.FAILED, "weak_sandbox")


def test_bug_in_a_worker_is_tried_again_and_then_told_without_detail(release, owner, monkeypatch, settings):
    settings.BACKOFF_S = 0
    monkeypatch.setattr(run, "sandbox_level", lambda: 1 / 0)
    evaluation = make_evaluation(make_submission(owner, release), split="test")
    assert drain(Queue.EVALUATE) == settings.MAX_ATTEMPTS
    evaluation.refresh_from_db()
    assert evaluation.state == EvaluationState.FAILED
    assert "Zero" not in evaluation.failure_message


def test_baselines_are_scored_published_and_chance_is_exact(release):
    drain(Queue.SCORE)
    assert Entry.objects.filter(model__is_baseline=True, superseded_at=None).count() == 6
    report = Report.objects.get(evaluation__submission__model__slug="baseline-chance", evaluation__split="test")
    chance = report.document["aggregates"]["coarse"]["null"]["estimate"]
    options = read_questions(storage.release_folder(release), Split.TEST).to_pylist()
    by_kind: dict[str, list[float]] = {}
    for row in options:
        if row["variant"] is None and row["question"] != "classification":
            by_kind.setdefault(row["question"], []).append(1 / len(row["options"]))
    expected = sum(sum(values) / len(values) for values in by_kind.values()) / len(by_kind)
    assert chance == pytest.approx(expected, abs=1e-6)
    board = get_board(release, Split.TEST, "coarse-modality")
    row = next(row for row in board.rows if row.model == "baseline-chance")
    assert row.score is not None and (row.low, row.high) == (None, None)


def test_rescore_verifies_and_names_the_entry_whose_number_was_altered(release, capsys):
    drain(Queue.SCORE)
    call_command("rescore", verify=True)
    assert "6 entries and 0 analyses recomputed, 0 differences" in capsys.readouterr().out
    report = Report.objects.get(evaluation__submission__model__slug="baseline-majority", evaluation__split="test")
    report.document["aggregates"]["macro"]["1"]["estimate"] += 0.000001
    report.save()
    with pytest.raises(CommandError):
        call_command("rescore", verify=True)
    told = capsys.readouterr().out
    assert "baseline-majority" in told
    assert "baseline-chance" not in told


def test_new_key_revision_rescores_stored_answers_and_supersedes_entries(release):
    drain(Queue.SCORE)
    storage.key_folder(release, 1).rename(storage.key_folder(release, 2))
    release.key_revision = KeyRevision.objects.create(release=release, number=2, note="erratum")
    release.save()
    assert rescoring.stale_evaluations().count() == 6
    call_command("rescore")
    assert rescoring.stale_evaluations().count() == 0
    live = Entry.objects.filter(superseded_at=None)
    assert set(live.values_list("report__key_revision__number", flat=True)) == {2}
    assert Entry.objects.count() == 12
    assert Evaluation.objects.filter(state=EvaluationState.SCORED).count() == 6


def test_imported_keys_lie_apart_for_their_owner_alone(release, settings):
    public = storage.release_folder(release)
    assert not (public / "keys").exists()
    for path in (settings.KEY_ROOT, *settings.KEY_ROOT.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path
    assert sorted(path.name for path in (public / "packs").iterdir()) == ["dev.zip", "test.zip"]


def test_failed_import_leaves_nothing_behind(release, settings, tmp_path):
    folder = tmp_path / "folder"
    import_hub(tiny_hub(("dev",)), folder, splits="given", name="dev only", version="1.0")
    call_command("import_release", str(folder), slug="folder")
    with pytest.raises(CommandError, match="release_known"):
        call_command("import_release", str(folder), slug="again")
    with pytest.raises(CommandError, match="slug_taken"):
        call_command("import_release", str(tiny_hub(("dev",))), slug="tiny", splits="given")
    assert [path.name for path in settings.RELEASE_ROOT.iterdir()] in (["tiny", "folder"], ["folder", "tiny"])
    assert [path.name for path in settings.KEY_ROOT.iterdir()] in (["tiny", "folder"], ["folder", "tiny"])
    assert (folder / "keys" / "dev.parquet").exists(), "the organiser's own folder was altered"
    assert Submission.objects.exclude(kind=SubmissionKind.BASELINE).count() == 0
