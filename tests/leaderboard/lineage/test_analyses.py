"""Forgetting on the server: made when both sides are scored, made again when either changes, read by who may."""

import json

import numpy as np
import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.management import CommandError, call_command

from evaluator.analyses.forgetting import Side, analysis_head, forgetting
from evaluator.analyses.target import parse_target
from evaluator.cli import main
from evaluator.release.info import info_from_json
from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from evaluator.scoring.baselines import chance_marks
from leaderboard import publication, storage, submissions
from leaderboard.boards.compute import key_index
from leaderboard.lineage import analyses, links, reading
from leaderboard.models import Analysis, AnalysisRequest, KeyRevision, Report
from leaderboard.queue import Queue
from leaderboard.queue.reconciler import reconcile
from leaderboard.workers.drain import drain
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_model

pytestmark = pytest.mark.django_db(transaction=True)
ANYONE = AnonymousUser()


@pytest.fixture
def pair(release, author):
    """Base and tuned on dev and test, linked, with a target; nothing scored yet."""
    base = make_answered(make_model(author, "base"), release, skill=0.9, seed=1, splits=("dev", "test"))
    tuned = make_answered(make_model(author, "tuned"), release, skill=0.5, seed=2, splits=("dev", "test"))
    value = next(iter(release.summary["test"]["facets"]["modality"]))
    links.declare(tuned, "base", [f"modality={value}"], by=author)
    return base, tuned


def live() -> list[Analysis]:
    return list(Analysis.objects.filter(superseded_at=None).order_by("split"))


def side(report: Report) -> Side:
    correct = np.load(storage.derived_folder(report) / storage.CORRECT)
    return Side(correct=correct, protocol=report.document["protocol"])


def test_it_is_made_for_every_split_and_is_what_the_library_gives(pair, release):
    base, tuned = pair
    drain(Queue.SCORE)
    assert [each.split for each in live()] == ["dev", "test"]
    assert not AnalysisRequest.objects.exists()
    for made in live():
        split = Split(made.split)
        reports = [Report.objects.get(evaluation__submission=each, evaluation__split=split) for each in pair]
        expected = forgetting(
            key_index(release, split), *map(side, reports), parse_target(tuned.base_links.get().target),
            chance=chance_marks(read_questions(storage.release_folder(release), split)),
            hidden=split is not Split.DEV,
            head=analysis_head(info_from_json(release.info), split, key_revision=1),
        )  # fmt: skip
        assert made.document == expected
    assert live()[1].document["headline"]["all"]["delta"]["estimate"] < 0  # it was made to be worse


def test_the_command_gives_the_stored_document_from_the_stored_answers(pair, release, tmp_path):
    drain(Queue.SCORE)
    made, [target] = live()[1], pair[1].base_links.get().target
    paths = []
    for submission in pair:
        evaluation = submission.evaluations.get(split="test")
        with storage.local_path(evaluation.answers_sha256) as path:
            folder = tmp_path / submission.model.slug
            folder.mkdir()
            paths.append(folder / "answers.parquet")
            paths[-1].write_bytes(path.read_bytes())
            (folder / "run.json").write_text(json.dumps({"protocol": evaluation.protocol}))
    arguments = [
        "forgetting", "--release", storage.release_folder(release), "--split", "test", "--base", paths[0], "--tuned",
        paths[1], "--target", target, "--key", storage.key_folder(release, 1), "--out", tmp_path / "forgetting.json",
    ]  # fmt: skip
    assert main([str(argument) for argument in arguments]) == 0
    assert json.loads((tmp_path / "forgetting.json").read_text()) == made.document


def test_a_request_left_by_a_crash_is_served(pair):
    drain(Queue.SCORE)
    link = pair[1].base_links.get()
    Analysis.objects.all().delete()
    AnalysisRequest.objects.create(link=link)  # its ring was lost, with whoever should have answered it
    reconcile()
    drain(Queue.SCORE)
    assert len(live()) == 2 and not AnalysisRequest.objects.exists()


def test_what_is_up_to_date_is_not_made_again(pair):
    drain(Queue.SCORE)
    link = pair[1].base_links.get()
    before = [each.pk for each in live()]
    assert analyses.bring_up_to_date(link) == []
    assert [each.pk for each in live()] == before


def test_it_is_made_again_for_another_target_and_the_earlier_one_stays(pair, author):
    drain(Queue.SCORE)
    base, tuned = pair
    old = {each.split: each for each in live()}
    links.declare(tuned, "base", [], by=author)
    drain(Queue.SCORE)
    in_force = reading.of_submission(author, tuned).forgetting
    assert {split: each.document["target"] for split, each in in_force.items()} == {"dev": None, "test": None}
    assert all(each.pk != old[split].pk for split, each in in_force.items())
    assert old["test"].document["target"] is not None


def test_it_is_made_again_when_a_key_revision_scores_both_sides_anew(pair, release, capsys):
    drain(Queue.SCORE)
    old = storage.key_folder(release, 1)
    new = storage.key_folder(release, 2)
    new.mkdir(mode=0o700)
    for path in old.iterdir():
        (new / path.name).write_bytes(path.read_bytes())
    release.key_revision = KeyRevision.objects.create(release=release, number=2)
    release.save()
    call_command("rescore")
    drain(Queue.SCORE)
    assert {each.key_revision.number for each in live()} == {2}
    call_command("rescore", verify=True)
    assert "2 analyses recomputed, 0 differences" in capsys.readouterr().out


def test_a_number_that_was_altered_is_found(pair, capsys):
    drain(Queue.SCORE)
    made = live()[1]
    made.document["headline"]["all"]["delta"]["estimate"] += 0.01
    made.save()
    with pytest.raises(CommandError):
        call_command("rescore", verify=True)
    assert "forgetting of tuned (test): the document differs" in capsys.readouterr().out


def test_everyone_reads_it_once_both_sides_stand_on_the_board(release, author, stranger):
    base = make_answered(make_model(stranger, "base"), release, skill=0.9, seed=1)
    tuned = make_answered(make_model(author, "tuned"), release, skill=0.5, seed=2, publish=False)
    links.declare(make_ready(tuned, base), "base", [], by=author)
    drain(Queue.SCORE)
    assert reading.of_submission(author, tuned).forgetting.keys() == {"test"}
    publication.publish_all(tuned, by=author)
    assert reading.of_submission(ANYONE, tuned).forgetting.keys() == {"test"}
    submissions.withdraw(base, by=stranger)
    assert reading.of_submission(ANYONE, tuned).forgetting == {}
    assert reading.of_submission(author, tuned).not_applicable[0] == "base_withdrawn"


def make_ready(tuned, base):
    """Let the base be published first, so that another author may name it."""
    drain(Queue.SCORE)
    return tuned


def test_a_private_base_is_seen_in_its_authors_analysis_alone(release, author, stranger):
    base = make_answered(make_model(author, "base"), release, skill=0.9, seed=1, publish=False, kept_private=True)
    tuned = make_answered(make_model(author, "tuned"), release, skill=0.5, seed=2)
    links.declare(tuned, str(base.pk), [], by=author)
    drain(Queue.SCORE)
    assert reading.of_submission(ANYONE, tuned).forgetting.keys() == {"test"}
    with pytest.raises(publication.TransitionRefused):
        publication.publish_all(base, by=author)


def test_a_split_without_an_image_outside_the_target_says_so(release, author):
    """dev has one modality more than test, or less: what cannot be computed there is a sentence, not an error."""
    base = make_answered(make_model(author, "base"), release, seed=1, splits=("dev", "test"))
    tuned = make_answered(make_model(author, "tuned"), release, seed=2, splits=("dev", "test"))
    link = links.declare(tuned, "base", [], by=author)
    everything = [f"modality={value}" for value in release.summary["dev"]["facets"]["modality"]]
    type(link).objects.filter(pk=link.pk).update(target=everything)
    drain(Queue.SCORE)
    refused = reading.of_submission(author, tuned).forgetting["dev"].document["not_applicable"]
    assert [problem["code"] for problem in refused] == ["target_matches_everything"]
    assert reading.published_forgetting(release, Split.DEV) == []
    assert base.pk != tuned.pk
