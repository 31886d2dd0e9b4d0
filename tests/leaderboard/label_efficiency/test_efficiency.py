"""Label efficiency on the server: asked for by itself, computed in a process apart, stored once, read by who may."""

import json
from contextlib import ExitStack

import numpy as np
import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandError, call_command

from evaluator.active_learning.studies.orders import label_orders
from evaluator.answering.embeddings import read_embeddings
from evaluator.cli import main
from leaderboard import publication, storage, submissions
from leaderboard.label_efficiency import pools, reading, studies
from leaderboard.label_efficiency.rows import Standing, Status
from leaderboard.models import Evaluation, KeyRevision, LabelEfficiency, Study
from leaderboard.models.submissions import Purpose
from leaderboard.queue import Queue
from leaderboard.states import EvaluationState, StudyState
from leaderboard.workers.drain import drain
from tests.builders.leaderboard import make_model, make_submission, make_user
from tests.builders.studies import PER_SPLIT, make_embedded, put_embeddings
from tests.builders.system import tiny_weights
from tests.builders.weights import TINY

pytestmark = pytest.mark.django_db(transaction=True)
ANYONE = AnonymousUser()


def measured(release, slug: str = "mine", **how):
    submission = make_embedded(release, slug, **how)
    drain(Queue.SCORE)
    drain(Queue.STUDY)
    assert set(Study.objects.values_list("state", flat=True)) == {StudyState.DONE}
    return submission


def live(submission) -> list[LabelEfficiency]:
    return list(LabelEfficiency.objects.filter(submission=submission, superseded_at=None).order_by("dataset"))


def new_key(release, change=lambda path: path.read_bytes()) -> None:
    old, new = storage.key_folder(release, 1), storage.key_folder(release, 2)
    new.mkdir(mode=0o700)
    for path in old.iterdir():
        (new / path.name).write_bytes(change(path))
    release.key_revision = KeyRevision.objects.create(release=release, number=2)
    release.save()


def test_it_is_measured_in_a_process_apart_once_both_splits_are_scored(release):
    submission = make_embedded(release, "mine", clear=3.0)
    Evaluation.objects.filter(submission=submission, split="test").update(state=EvaluationState.QUEUED)
    drain(Queue.SCORE)
    assert not Study.objects.exists(), "only dev is scored"
    Evaluation.objects.filter(submission=submission, split="test").update(state=EvaluationState.ANSWERED)
    drain(Queue.SCORE)
    assert reading.state_of(submission).standing == Standing.WAITING
    assert drain(Queue.STUDY) == 1
    study = Study.objects.get()
    assert study.state == StudyState.DONE, (study.failure_code, study.failure_message)
    assert (study.kind, study.progress, study.worker) == ("efficiency", {}, "")
    rows = reading.of_submission(ANYONE, submission)
    assert [row.dataset for row in rows] == ["cells_a", "cells_b"]
    for document in (row.document for row in rows):
        assert document["ranked"] and document["cut"] and document["seeds"] == studies.SEEDS
        assert [each["labels"] for each in document["budgets"]] == [3, 6, 12]
        assert document["budgets"][-1]["same"]["balanced_accuracy"]["estimate"] > 0.8
        assert document["zero_shot"]["balanced_accuracy"]["estimate"] < 0.8  # answers right with probability 0.6
    assert reading.state_of(submission).standing == Standing.DONE
    assert studies.ask_efficiency(submission) is None, "it stands"


def test_no_right_answer_of_an_evaluated_image_is_given_away(release, here):
    measured(release)
    [tasks] = here
    for task, dataset in zip(tasks, pools.fine_of(release).datasets.values(), strict=True):
        assert len(task.data.evaluated) == len(dataset.right) == 24
        for name, array in {**vars(task.data), **vars(task)}.items():
            if isinstance(array, np.ndarray) and name != "evaluated":
                assert len(array) != len(dataset.right) or name in ("pool", "labels"), name
        assert np.array_equal(task.data.labels, dataset.labels)


def test_the_command_gives_the_stored_documents(release, here, tmp_path):
    submission = measured(release)
    with ExitStack() as stack:
        evaluations = [submission.evaluations.get(split=split) for split in ("dev", "test")]
        embeddings = [stack.enter_context(storage.local_path(each.embeddings_sha256)) for each in evaluations]
        answers = stack.enter_context(storage.local_path(evaluations[1].answers_sha256))
        arguments = [
            "label-efficiency", "--release", storage.release_folder(release), "--split", "test", "--embeddings",
            *embeddings, "--answers", answers, "--key", storage.key_folder(release, 1), "--seeds", studies.SEEDS,
            "--out", tmp_path / "efficiency.json",
        ]  # fmt: skip
        assert main([str(argument) for argument in arguments]) == 0
    made = json.loads((tmp_path / "efficiency.json").read_text())
    assert made["datasets"] == [row.document for row in live(submission)]
    [row] = reading.board(ANYONE, release).rows
    assert (made["mean"]["aulc"], made["mean"]["gain"]) == (row.aulc, row.gain)


def test_label_orders_are_the_same_for_every_checkpoint(release, here):
    measured(release, "one", seed=1)
    measured(release, "two", seed=2)
    first, second = here
    for one, two, dataset in zip(first, second, pools.fine_of(release).datasets.values(), strict=True):
        assert np.array_equal(one.orders, two.orders) and not np.array_equal(one.data.pool, two.data.pool)
        expected = label_orders(dataset.pool.ids, one.seeds, f"{release.hash}:{dataset.name}")
        assert np.array_equal(one.orders, expected[:, : one.orders.shape[1]])


def test_asking_twice_makes_one_study(release):
    submission = make_embedded(release, "mine")
    drain(Queue.SCORE)
    first = Study.objects.get()
    assert studies.ask_efficiency(submission) == first and studies.ask_efficiency(submission, seeds=30) == first
    first.refresh_from_db()
    assert first.seeds == 30 and Study.objects.count() == 1


def test_a_new_key_revision_measures_anew_and_the_earlier_document_stays(release, here, capsys):
    submission = measured(release)
    old = live(submission)
    new_key(release)
    with pytest.raises(CommandError):
        call_command("rescore", verify=True)
    call_command("rescore")
    assert drain(Queue.STUDY) == 1
    assert {row.key_revision.number for row in live(submission)} == {2} and {
        row.document["key_revision"] for row in live(submission)
    } == {2}
    assert LabelEfficiency.objects.filter(pk__in=[row.pk for row in old]).exclude(superseded_at=None).count() == 2
    capsys.readouterr()
    call_command("rescore", verify=True)
    assert "2 documents of label efficiency recomputed" in capsys.readouterr().out


def test_a_key_that_changes_meanwhile_stores_nothing_of_the_earlier_one(release, here, monkeypatch):
    submission = make_embedded(release, "mine")
    drain(Queue.SCORE)
    from leaderboard.workers import study as worker

    perform = worker.perform_apart

    def interrupted(tasks, **how):
        if len(here) == 0:
            new_key(release)
            call_command("rescore")
        return perform(tasks, **how)

    monkeypatch.setattr(worker, "perform_apart", interrupted)
    assert drain(Queue.STUDY) == 2
    assert [row.key_revision.number for row in LabelEfficiency.objects.all()] == [2, 2]
    study = Study.objects.get()
    assert study.state == StudyState.DONE and study.attempts == 1
    assert len(live(submission)) == 2


def test_a_number_that_was_altered_is_found(release, here, capsys):
    submission = measured(release)
    row = live(submission)[0]
    row.document["aulc"]["log2"]["estimate"] += 0.01
    row.save()
    with pytest.raises(CommandError):
        call_command("rescore", verify=True)
    assert "label efficiency of mine on cells_a: the document differs" in capsys.readouterr().out
    path = storage.efficiency_folder(release.slug, live(submission)[1].pk) / storage.AREAS
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
    np.savez(path, same=np.zeros(2000), gain=np.zeros(2000))
    with pytest.raises(CommandError):
        call_command("rescore", verify=True)
    assert "label efficiency of mine on cells_b: the stored replicates differ" in capsys.readouterr().out


def test_embeddings_that_tell_nothing_apart_are_said_so_where_the_curve_would_be(release, here):
    submission = make_embedded(release, "flat")
    for split in ("dev", "test"):
        flat = put_embeddings(release, split, clear=0.0, noise=0.0)
        submission.evaluations.filter(split=split).update(embeddings_sha256=flat)
    drain(Queue.SCORE)
    drain(Queue.STUDY)
    documents = [row.document for row in live(submission)]
    assert [document["budgets"] for document in documents] == [[], []]
    assert "same embedding" in documents[0]["reason"]
    board = reading.board(ANYONE, release)
    assert board.rows[0].rank is None and board.rows[0].aulc is None
    call_command("rescore", verify=True)


def test_embeddings_that_lack_images_fail_in_words(release, here):
    submission = make_embedded(release, "mine")
    other = put_embeddings(release, "dev", clear=1.0)  # the ids of dev in place of those of test
    submission.evaluations.filter(split="test").update(embeddings_sha256=other)
    drain(Queue.SCORE)
    drain(Queue.STUDY)
    study = Study.objects.get()
    assert (study.state, study.failure_code) == (StudyState.FAILED, "no_embedding")
    assert reading.state_of(submission).standing == Standing.FAILED
    assert "have no embedding" not in reading.state_of(submission).reason
    assert "have no embedding" in reading.state_of(submission, user=submission.owner).reason


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"kind": "predictions"}, "prediction file"),
        ({"kind": "baseline"}, "baseline"),
        ({"architecture": "nothing-known"}, "nothing-known"),
    ],
)
def test_it_applies_to_encoders_alone(release, fields, says):
    submission = make_embedded(release, "mine", **fields)
    drain(Queue.SCORE)
    assert not Study.objects.exists() and studies.ask_to_embed(submission) == []
    status = reading.state_of(submission)
    assert status.standing == Standing.NOT_APPLICABLE and says in status.reason


def test_a_submission_that_is_being_checked_waits_and_a_withdrawn_one_is_not_measured(release, here):
    submission = make_embedded(release, "mine")
    assert reading.state_of(make_submission(submission.owner, release, "validating", architecture=TINY)) == Status(
        standing=Standing.WAITING
    )
    drain(Queue.SCORE)
    submissions.withdraw(submission, by=submission.owner)
    drain(Queue.STUDY)
    assert Study.objects.get().failure_code == "not_applicable" and here == []


def test_others_read_it_while_it_stands_on_the_boards(release, here, staff):
    owner, stranger = make_user("owner"), make_user("stranger")
    submission = measured(release, model=make_model(owner, "mine"), publish=False)
    for user, n in ((owner, 2), (staff, 2), (stranger, 0), (ANYONE, 0)):
        assert len(reading.of_submission(user, submission)) == n
    assert reading.board(owner, release).rows == []
    publication.publish_all(submission, by=owner)
    assert len(reading.of_submission(ANYONE, submission)) == 2
    [row] = reading.board(ANYONE, release).rows
    assert (row.model, row.rank, row.unranked_reason) == ("mine", 1, "")
    submissions.withdraw(submission, by=owner)
    assert reading.of_submission(ANYONE, submission) == [] and reading.board(ANYONE, release).rows == []


def test_the_board_ranks_the_clearer_encoder_first(release, here):
    make_embedded(release, "dim", clear=0.2, seed=1)
    make_embedded(release, "clear", clear=4.0, seed=2)
    merge = make_embedded(release, "merge", clear=5.0, seed=3, merge={"parts": [], "alpha": 0.5})
    drain(Queue.SCORE)
    board = reading.board(ANYONE, release)
    assert (board.waiting, board.rows, board.seeds) == (3, [], None)
    assert {each.reason for each in board.datasets} == {"It is not measured yet."}
    drain(Queue.STUDY)
    board = reading.board(ANYONE, release)
    assert [(row.model, row.rank, row.group) for row in board.rows] == [
        ("clear", 1, 1),
        ("dim", 2, 2),
        ("merge", None, None),
    ]
    assert "merge of other" in board.rows[2].unranked_reason and board.rows[2].submission == str(merge.pk)
    assert (board.waiting, board.seeds, board.per_class) == (0, 3, (1, 2, 4))
    assert [(each.slug, each.ranked, each.n_classes) for each in board.datasets] == [
        ("cells_a", True, 3),
        ("cells_b", True, 3),
    ]
    for row in board.rows:
        cells = [row.per_dataset[slug] for slug in ("cells_a", "cells_b")]
        assert row.aulc["estimate"] == pytest.approx(np.mean([cell.aulc["estimate"] for cell in cells]), abs=2e-6)
        assert row.gain["estimate"] == pytest.approx(np.mean([cell.gain["estimate"] for cell in cells]), abs=2e-6)
        assert row.gain["low"] <= row.gain["estimate"] <= row.gain["high"]
    one = reading.board(ANYONE, release, "cells_b")
    assert [row.model for row in one.rows] == ["clear", "dim", "merge"] and one.dataset == "cells_b"
    assert one.rows[0].aulc == one.rows[0].per_dataset["cells_b"].aulc and one.rows[0].labels_to is not None


def test_older_checkpoints_are_run_for_their_embeddings(release, capsys):
    submission = make_embedded(release, "old")
    submission.evaluations.update(embeddings_sha256="")
    drain(Queue.SCORE)
    assert not Study.objects.exists() and "not kept" in reading.state_of(submission).reason
    call_command("label_efficiency", release.slug, track="a")
    call_command("label_efficiency", release.slug, track="a")
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "to be embedded: old on dev", "to be embedded: old on test",
        "nothing to do: all of it stands or is being computed",
    ]  # fmt: skip
    embeds = Evaluation.objects.filter(purpose=Purpose.EMBED)
    assert sorted(embeds.values_list("split", "state")) == [("dev", "queued"), ("test", "queued")]
    assert reading.board(ANYONE, release).waiting == 1
    for evaluation in embeds:
        embedded = put_embeddings(release, evaluation.split, clear=1.0)
        Evaluation.objects.filter(pk=evaluation.pk).update(state=EvaluationState.ANSWERED, embeddings_sha256=embedded)
    drain(Queue.SCORE)
    assert set(embeds.values_list("state", flat=True)) == {EvaluationState.SCORED}
    assert Study.objects.get().state == StudyState.QUEUED


def test_a_run_for_embeddings_keeps_them_and_nothing_else(release):
    """With the real model: what it answers again is what scored runs keep beside their answers."""
    submission = make_embedded(release, "old", architecture=TINY)
    blob = storage.put_file(tiny_weights())
    files = [{"name": "old.safetensors", "sha256": blob.sha256, "size": blob.size}]
    type(submission).objects.filter(pk=submission.pk).update(files=files, file_sha256=blob.sha256, facts={})
    submission.evaluations.filter(split="dev").update(embeddings_sha256="")
    drain(Queue.SCORE)
    [asked] = studies.ask_to_embed(submission)
    assert studies.ask_to_embed(submission) == [] and not Study.objects.exists()
    assert drain(Queue.EVALUATE) == 1
    asked.refresh_from_db()
    assert (asked.state, asked.answers_sha256) == (EvaluationState.ANSWERED, ""), asked.failure_message
    with storage.local_path(asked.embeddings_sha256) as path:
        assert len(read_embeddings(path)["embedding"]) == PER_SPLIT
    drain(Queue.SCORE)
    asked.refresh_from_db()
    assert asked.state == EvaluationState.SCORED and not asked.reports.exists()
    assert submissions.combined_state(submission) == "scored"
    assert Study.objects.get().submission == submission
