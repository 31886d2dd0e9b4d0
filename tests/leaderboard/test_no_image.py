"""The no-image baseline: the same checkpoint without sight, unranked, made once however often it is asked for."""

from uuid import uuid4

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from evaluator.answering.embeddings import read_embeddings
from evaluator.errors import InputError
from evaluator.release.schema import Split
from leaderboard import no_image, storage, submissions
from leaderboard.boards.marks import BASELINE, marks_of
from leaderboard.boards.snapshots import get_board
from leaderboard.intake import NewSubmission
from leaderboard.models import Entry, Model, Submission
from leaderboard.models.submissions import SubmissionKind
from leaderboard.queue import Queue
from leaderboard.states import EvaluationState, SubmissionState
from leaderboard.uploads import received_from
from leaderboard.workers.drain import drain
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_model, make_user
from tests.builders.system import import_tiny_release, tiny_hub, tiny_weights
from tests.builders.weights import TINY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def release(tmp_path, settings, services):
    settings.RELEASE_ROOT, settings.KEY_ROOT = tmp_path / "releases", tmp_path / "keys"
    return import_tiny_release(hub=tiny_hub(("dev", "test")))


@pytest.fixture
def published(release) -> Submission:
    """A checkpoint on the boards of test, whose answers nobody had to compute."""
    submission = make_answered(make_model(make_user(), "mine"), release)
    drain(Queue.SCORE)
    return submission


def baseline() -> Submission:
    return Submission.objects.get(model__slug__startswith="baseline-no-image-")


def test_a_checkpoint_is_asked_without_images_and_stands_unranked(release, capsys):
    submission = submissions.submit(
        make_user(),
        NewSubmission(
            release=release, files=(received_from(tiny_weights()),), kind=SubmissionKind.CHECKPOINT,
            architecture=TINY, publish=True, model="mine",
        ),
    )  # fmt: skip
    for queue in (Queue.VALIDATE, Queue.EVALUATE, Queue.SCORE):
        drain(queue)
    call_command("no_image_baseline", submission=submission.pk)
    assert "queued: no-image (mine) on test" in capsys.readouterr().out
    assert drain(Queue.EVALUATE) == 2
    seeing, blank = (each.evaluations.get(split="test") for each in (submission, baseline()))
    assert blank.state == EvaluationState.ANSWERED, blank.failure_message
    assert (seeing.run["images"], blank.run["images"]) == ("stored", "blank")
    assert blank.run["weights"]["sha256"] == submission.file_sha256 and blank.run["sandbox"] == "bubblewrap"
    for evaluation, same in ((seeing, False), (blank, True)):
        with storage.local_path(evaluation.embeddings_sha256) as path:
            assert (np.ptp(read_embeddings(path)["embedding"], axis=0).max() < 1e-6) == same
    drain(Queue.SCORE)
    assert Entry.objects.filter(submission=baseline(), superseded_at=None).count() == 2
    board = get_board(release, Split.TEST, "overall")
    row = next(row for row in board.rows if row.model == "baseline-no-image-mine")
    assert row.name == "no-image (mine)" and row.rank is None and row.score is not None
    assert marks_of(row) == [BASELINE]
    assert next(row for row in board.rows if row.model == "mine").rank == 1
    call_command("rescore", verify=True)


def test_asking_twice_changes_nothing_and_starts_what_failed_anew(published, capsys):
    first = no_image.ask_without_images(published)
    assert sorted(evaluation.split for evaluation in first) == ["dev", "test"]
    assert no_image.ask_without_images(published) == []
    call_command("no_image_baseline", submission=published.pk)
    assert "nothing to do" in capsys.readouterr().out
    assert Submission.objects.filter(model__slug="baseline-no-image-mine").count() == 1
    submissions.cancel_evaluation(first[0], by=make_user(is_staff=True))
    [again] = no_image.ask_without_images(published)
    assert again.split == first[0].split and again.submission == baseline()
    assert baseline().evaluations.count() == 3


def test_retry_of_a_failed_one_runs_the_model_again(published):
    evaluation = no_image.ask_without_images(published)[0]
    staff = make_user(is_staff=True)
    submissions.cancel_evaluation(evaluation, by=staff)
    again = submissions.retry_evaluation(evaluation, by=staff)
    assert again.state == EvaluationState.QUEUED and again.submission.shows_blank_images


def test_it_belongs_to_nobody_and_says_what_it_is(published):
    no_image.ask_without_images(published)
    model = baseline().model
    assert model.is_baseline and model.owner.username == "baselines" and not model.owner.is_active
    assert "grey image" in model.description and "mine" in model.description
    assert (baseline().kind, baseline().publish) == (SubmissionKind.BASELINE, True)
    assert baseline().shows_blank_images and not published.shows_blank_images
    for field in ("release", "architecture", "files", "file_name", "file_sha256", "file_size"):
        assert getattr(baseline(), field) == getattr(published, field)
    assert baseline().facts == {**published.facts, "no_image_of": str(published.pk)}
    assert {event.note for event in baseline().events.filter(evaluation=None)} == {
        f"no-image baseline of {published.pk}"
    }


def test_what_is_not_a_published_checkpoint_is_refused(release, published):
    owner = make_user()
    unpublished = make_answered(make_model(owner), release, publish=False, seed=4)
    predictions = make_answered(make_model(owner), release, kind="predictions", seed=5)
    drain(Queue.SCORE)
    no_image.ask_without_images(published)
    for submission, code in ((unpublished, "not_published"), (predictions, "not_a_checkpoint"),
                             (baseline(), "not_a_checkpoint")):  # fmt: skip
        with pytest.raises(InputError, match=code):
            no_image.ask_without_images(submission)
    submissions.withdraw(published, by=published.owner)
    with pytest.raises(InputError, match="not_accepted"):
        no_image.ask_without_images(published)
    assert Model.objects.filter(slug__startswith="baseline-no-image-").count() == 1


def test_the_command_says_who_is_missing(services):
    with pytest.raises(CommandError, match="there is no submission"):
        call_command("no_image_baseline", submission=uuid4())


def test_staff_ask_for_it_on_a_page_that_says_what_it_does(published):
    client, address = Client(), f"/organise/submissions/{published.pk}/no-image/"
    client.force_login(make_user(is_staff=True))
    assert address in client.get(f"/submissions/{published.pk}/").content.decode()
    assert "unranked baseline" in client.get(address).content.decode()
    assert not Model.objects.filter(slug="baseline-no-image-mine").exists()
    assert "Queued on dev, test." in client.post(address, follow=True).content.decode()
    assert "Nothing to do" in client.post(address, follow=True).content.decode()
    submissions.withdraw(published, by=published.owner)
    assert "its weights are not to be used" in client.post(address, follow=True).content.decode()
    client.force_login(published.owner)
    assert client.post(address).status_code == 404
    assert address not in client.get(f"/submissions/{published.pk}/").content.decode()


def test_long_names_are_told_apart(release):
    owner = make_user()
    names = ["m" * 78 + "-a", "m" * 78 + "-b"]
    made = [make_answered(make_model(owner, name), release, seed=seed) for seed, name in enumerate(names)]
    drain(Queue.SCORE)
    slugs = {no_image.ask_without_images(submission)[0].submission.model.slug for submission in made}
    assert len(slugs) == 2 and max(map(len, slugs)) == 80


def test_a_chance_baseline_that_failed_is_still_scored_without_answers(release):
    chance = Submission.objects.get(model__slug="baseline-chance")
    evaluation = chance.evaluations.get(split="test")
    staff = make_user(is_staff=True)
    submissions.cancel_evaluation(evaluation, by=staff)
    assert submissions.retry_evaluation(evaluation, by=staff).state == EvaluationState.ANSWERED


def test_a_baseline_that_is_withdrawn_is_not_revived(published):
    no_image.ask_without_images(published)
    submissions.withdraw(baseline(), by=make_user(is_staff=True))
    with pytest.raises(InputError, match="not_accepted"):
        no_image.ask_without_images(published)
    assert baseline().state == SubmissionState.WITHDRAWN
