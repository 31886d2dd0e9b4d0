"""Sweeps and merges through the real workers: one button, one evaluation, one analysis; a merge as a submission."""

import io
import json
from unittest import mock

import pytest
import torch
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.core.management import call_command
from safetensors.torch import load_file

from evaluator.answering.sweeps.sweep_answers import answers_at, read_sweep
from evaluator.answers import read_answers
from evaluator.cli import main
from evaluator.errors import InputError
from evaluator.release.schema import Split
from evaluator.sandbox import ChildSweep
from leaderboard import files, storage, submissions
from leaderboard.boards.marks import MERGED, marks_of
from leaderboard.boards.snapshots import get_board
from leaderboard.intake import NewSubmission
from leaderboard.lineage import derived, links, pairs, reading, sweeps
from leaderboard.models import Evaluation, Submission
from leaderboard.models.submissions import Purpose, SubmissionKind
from leaderboard.queue import Queue
from leaderboard.states import EvaluationState, SubmissionState
from leaderboard.uploads import received_from
from leaderboard.workers.drain import drain
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_model
from tests.builders.system import run_folder, tiny_weights
from tests.builders.weights import TINY, tiny_state, write_state

pytestmark = pytest.mark.django_db(transaction=True)
QUEUES = (Queue.VALIDATE, Queue.EVALUATE, Queue.SCORE)


@pytest.fixture(scope="module")
def tuned_weights():
    """The tiny weights with every image weight moved a little; the text tower untouched."""
    torch.manual_seed(7)
    state = {
        name: tensor + 0.001 * torch.randn_like(tensor) if name.startswith("visual.") else tensor
        for name, tensor in tiny_state(0).items()
    }
    return write_state(state, run_folder("tuned-") / "tuned.safetensors")


def submit(owner, release, path, model, **fields) -> Submission:
    fields = {"kind": SubmissionKind.CHECKPOINT, "architecture": TINY, "publish": True} | fields
    return submissions.submit(
        owner, NewSubmission(release=release, files=(received_from(path),), model=model, **fields)
    )


def work() -> None:
    for queue in QUEUES:
        drain(queue)


def code(refused) -> str:
    return refused.value.problems[0].code


@pytest.fixture
def pair(release, author, tuned_weights):
    """Base and tuned with their files, accepted and published; nobody had to compute their answers."""
    base = checkpoint(author, release, tiny_weights(), "base", seed=1)
    tuned = checkpoint(author, release, tuned_weights, "tuned", seed=2)
    links.declare(tuned, "base", [], by=author)
    drain(Queue.SCORE)
    return base, tuned


def checkpoint(author, release, path, slug, **fields) -> Submission:
    file = received_from(path)
    blob = storage.put_received(file)
    made = make_answered(make_model(author, slug), release, architecture=TINY, **fields)
    Submission.objects.filter(pk=made.pk).update(
        file_name=file.name, file_sha256=blob.sha256, file_size=blob.size,
        files=[{"name": file.name, "sha256": blob.sha256, "size": blob.size}],
    )  # fmt: skip
    return Submission.objects.get(pk=made.pk)


def test_one_button_gives_one_sweep_that_ends_in_the_parents_answers(release, author, tuned_weights, tmp_path, capsys):
    submit(author, release, tiny_weights(), "base")
    submit(author, release, tuned_weights, "tuned", base="base")
    work()
    base, tuned = (Submission.objects.get(model__slug=slug) for slug in ("base", "tuned"))
    assert_looks_like(author, base, tuned)
    sweep = sweeps.ask(tuned, by=author)
    assert sweeps.ask(tuned, by=author) == sweep  # pressed twice
    work()
    sweep.refresh_from_db()
    assert sweep.state == EvaluationState.SCORED, sweep.failure_message
    with storage.local_path(sweep.answers_sha256) as path:
        swept = read_sweep(path)
    for split in (Split.DEV, Split.TEST):
        for alpha, parent in ((0.0, base), (1.0, tuned)):
            evaluation = parent.evaluations.get(split=split, purpose=Purpose.SCORE)
            with storage.local_path(evaluation.answers_sha256) as path:
                assert answers_at(swept, split, alpha).equals(read_answers(path))
    document = reading.of_submission(author, tuned).interpolation.document
    assert [round(point["alpha"], 6) for point in document["alphas"]] == list(pairs.ALPHAS)
    reports = [
        parent.evaluations.get(split="test", purpose=Purpose.SCORE).reports.get().document for parent in (base, tuned)
    ]
    for point, report in zip((document["alphas"][0], document["alphas"][-1]), reports, strict=True):
        assert point["aggregates"]["macro"]["estimate"] == report["aggregates"]["macro"]["1"]["estimate"]
    assert document["merge"]["unchanged_towers"] == ["text"]
    assert not tuned.entries.filter(report__evaluation=sweep).exists()  # nothing of it stands on a board
    assert submissions.combined_state(tuned) == "scored"
    assert reading.of_submission(AnonymousUser(), tuned).interpolation is not None
    call_command("rescore", verify=True)
    assert "0 differences" in capsys.readouterr().out
    assert_the_command_agrees(release, (base, tuned), sweep, document, tmp_path)


def assert_the_command_agrees(release, pair, sweep, document, tmp_path) -> None:
    """`interpolate` on the stored answers of the sweep, in place of asking the model once more."""
    with storage.local_path(sweep.answers_sha256) as path:
        answered = ChildSweep(answers=read_sweep(path), run=sweep.run)
    out = tmp_path / "interpolation.json"
    with storage.local_files(pair[0]) as base_file, storage.local_files(pair[1]) as tuned_file:
        arguments = [
            "interpolate", "--release", storage.release_folder(release), "--split", "test", "--select-on", "dev",
            "--base", base_file, "--tuned", tuned_file, "--architecture", TINY, "--alphas", "0:1:0.05",
            "--key", storage.key_folder(release, 1), "--out", out,
        ]  # fmt: skip
        with mock.patch("evaluator.cli.interpolate.sweep_in_child", return_value=answered):
            assert main([str(argument) for argument in arguments]) == 0
    assert json.loads(out.read_text()) == document


def assert_looks_like(author, base, tuned) -> None:
    """What the server says of the weights, to the author alone."""
    found = reading.of_submission(author, tuned)
    [suggestion] = found.suggestions
    assert suggestion.base == str(base.pk) and 0 < suggestion.kinship.identical_share < 1
    assert found.kinship.looks_tuned
    assert reading.of_submission(AnonymousUser(), tuned).suggestions == []


def test_a_sweep_is_refused_where_there_is_nothing_to_sweep(pair, release, author):
    base, tuned = pair
    with pytest.raises(InputError) as refused:
        sweeps.ask(base, by=author)
    assert code(refused) == "no_base"
    predictions = make_answered(make_model(author, "file"), release, kind="predictions", split="test")
    links.declare(predictions, "base", [], by=author)
    with pytest.raises(InputError) as refused:
        sweeps.ask(predictions, by=author)
    assert code(refused) == "not_a_checkpoint"
    submissions.withdraw(base, by=author)
    with pytest.raises(InputError) as refused:
        sweeps.ask(tuned, by=author)
    assert code(refused) == "base_withdrawn"


def test_a_failed_sweep_is_started_anew(pair, author):
    tuned = pair[1]
    first = sweeps.ask(tuned, by=author)
    submissions.cancel_evaluation(first, by=author)
    assert submissions.combined_state(tuned) == "scored"  # the submission is none the worse
    again = sweeps.ask(tuned, by=author)
    assert again != first and again.state == EvaluationState.QUEUED


def test_a_merge_is_made_of_its_parents(pair, author):
    base, tuned = pair
    merge = derived.submit_merge(tuned, 0.35, "merged", by=author)
    drain(Queue.VALIDATE)
    merge.refresh_from_db()
    assert merge.state == SubmissionState.ACCEPTED, merge.problems
    assert {each.split for each in merge.evaluations.all()} == {"dev", "test"}
    assert [(each.submission, each.weight) for each in pairs.parents_of(merge)] == [(base, 0.65), (tuned, 0.35)]
    with storage.local_files(merge) as path, storage.local_files(base) as zero, storage.local_files(tuned) as one:
        made, first, last = load_file(path), load_file(zero), load_file(one)
    for name, tensor in made.items():
        torch.testing.assert_close(tensor, torch.lerp(first[name], last[name], 0.35), rtol=0, atol=1e-6)
    assert reading.of_submission(author, merge).base == base  # so that what it forgot is known too
    assert [each.pk for each in reading.of_submission(author, tuned).derived] == [merge.pk]


def test_a_merge_stands_unranked_on_boards(pair, release, author):
    parts = [{"submission": str(each.pk), "weight": 0.5} for each in pair]
    make_answered(make_model(author, "merged"), release, merge={"parts": parts, "alpha": 0.5}, seed=5)
    drain(Queue.SCORE)
    row = next(row for row in get_board(release, Split.TEST, "overall").rows if row.model == "merged")
    assert row.rank is None and "merge" in row.reason and MERGED in marks_of(row)


def test_the_file_of_a_merge_is_its_authors_if_both_parents_are(pair, release, author, stranger, tuned_weights):
    tuned = pair[1]
    merge = derived.submit_merge(tuned, 0.5, "merged", by=author)
    drain(Queue.VALIDATE)
    merge.refresh_from_db()
    response = files.download(merge, merge.files[0]["name"], by=author)
    assert len(io.BytesIO(b"".join(response.streaming_content)).getvalue()) == merge.file_size
    foreign = checkpoint(stranger, release, tuned_weights, "foreign", seed=3)
    links.declare(foreign, "base", [], by=stranger)
    theirs = derived.submit_merge(foreign, 0.5, "their-merge", by=stranger)
    drain(Queue.VALIDATE)
    theirs.refresh_from_db()
    assert theirs.state == SubmissionState.ACCEPTED, theirs.problems
    with pytest.raises(PermissionDenied):  # it and one parent would give the other away
        files.download(theirs, theirs.files[0]["name"], by=stranger)
    call_command("reference_base", "base", verbosity=0)
    assert files.download(theirs, theirs.files[0]["name"], by=stranger).status_code == 200


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_place_that_is_not_between_the_two_is_refused(pair, author, alpha):
    with pytest.raises(InputError) as refused:
        derived.submit_merge(pair[1], alpha, "merged", by=author)
    assert code(refused) == "alpha"
    assert not Submission.objects.filter(model__slug="merged").exists()


def test_a_soup_is_the_mean_of_fine_tunes_of_one_base(pair, release, author):
    base, tuned = pair
    torch.manual_seed(9)
    state = {name: tensor + 0.02 * torch.randn_like(tensor) for name, tensor in tiny_state(0).items()}
    path = write_state(state, run_folder("second-") / "second.safetensors")
    second = checkpoint(author, release, path, "second", seed=4)
    links.declare(second, "base", [], by=author)
    soup = derived.submit_soup([tuned, second], "soup", by=author)
    drain(Queue.VALIDATE)
    soup.refresh_from_db()
    assert soup.state == SubmissionState.ACCEPTED, soup.problems
    with storage.local_files(soup) as made, storage.local_files(tuned) as one:
        found, first = load_file(made), load_file(one)
    name = "visual.proj"
    torch.testing.assert_close(found[name], (first[name] + state[name]) / 2, rtol=0, atol=1e-6)
    with pytest.raises(InputError) as refused:
        derived.submit_soup([tuned, tuned], "same", by=author)
    assert code(refused) == "soup_parts"
    with pytest.raises(InputError) as refused:
        derived.submit_soup([tuned, base], "mixed", by=author)
    assert code(refused) in ("no_base", "soup_other_base")


def test_a_parent_that_was_withdrawn_meanwhile_spoils_the_merge_with_a_reason(pair, author):
    base, tuned = pair
    merge = derived.submit_merge(tuned, 0.5, "merged", by=author)
    submissions.withdraw(base, by=author)
    drain(Queue.VALIDATE)
    merge.refresh_from_db()
    assert merge.state == SubmissionState.REJECTED
    assert [problem["code"] for problem in merge.problems] == ["parent_withdrawn"]


def test_a_base_withdrawn_while_the_sweep_waits_fails_it_with_a_reason(pair, author):
    base, tuned = pair
    sweep = sweeps.ask(tuned, by=author)
    submissions.withdraw(base, by=author)
    drain(Queue.EVALUATE)
    sweep = Evaluation.objects.get(pk=sweep.pk)
    assert (sweep.state, sweep.failure_code) == (EvaluationState.FAILED, "base_withdrawn")
