"""Cognition and localisation on the server: boards of their own, reachable and explained, part of no other board."""

import csv
import io
import json
import shutil

import pytest
from django.core.management import call_command
from django.test import Client

from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from leaderboard import storage, submissions
from leaderboard.intake import NewSubmission
from leaderboard.models import Release, Report
from leaderboard.models.submissions import SubmissionKind
from leaderboard.queue import Queue
from leaderboard.uploads import received_from
from leaderboard.workers.drain import drain
from tests.builders.entries import make_answered
from tests.builders.hub import cognition_question, hub_box, hub_rows, write_hub
from tests.builders.leaderboard import make_model, make_user
from tests.builders.system import import_tiny_release, run_folder

pytestmark = pytest.mark.django_db
LOCATED = "localisation-cells_a"


def caption_file(release: Release):
    """A prediction file of caption wording 1, with cognition, and boxes that are the whole image."""
    rows = []
    for q in read_questions(storage.release_folder(release), Split.TEST).to_pylist():
        named = {name: q[name] for name in ("dataset", "image_id", "question", "variant")}
        if q["question"] == "localisation":
            rows.append({**named, "boxes": [{"class": q["options"][0], "x1": 0, "y1": 0, "x2": 12, "y2": 12}]})
        elif q["variant"] == 1 or q["question"].startswith("cognition"):
            rows.append({**named, "option": 0})
    path = run_folder("captions-") / "captions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def release(django_db_setup, django_db_blocker, services):
    """dev and test with boxes on `cells_a` and cognition here and there; four models, each lacking something else."""
    rows = hub_rows(24)
    for number, row in enumerate(rows):
        row["split"] = ("dev", "test")[number % 4 // 2]
        if row["dataset"] == "cells_a":
            row["bbox"] = [hub_box("cell"), hub_box("nucleus", 0, 0, 4, 4)][: 1 + number % 3]
        if number % 5:
            row["questions"]["cognition_0"] = cognition_question(number % 3)
    with django_db_blocker.unblock():
        found = import_tiny_release("beside", write_hub(run_folder("beside-hub-") / "hub", rows))
        author = make_user("author")
        make_answered(make_model(author, "all-round"), found, skill=0.9, seed=1)
        make_answered(make_model(author, "no-boxes"), found, skill=0.9, seed=2, leave_out=LOCATED)
        make_answered(make_model(author, "no-expert"), found, skill=0.5, seed=3, leave_out="cognition")
        submissions.submit(author, NewSubmission(
            release=found, files=(received_from(caption_file(found)),), kind=SubmissionKind.PREDICTIONS, split="test",
            publish=True, model="by-file",
        ))  # fmt: skip
        drain(Queue.VALIDATE)
        drain(Queue.SCORE)
        yield found
        call_command("flush", interactive=False, verbosity=0)
        shutil.rmtree(storage.release_folder(found))
        shutil.rmtree(storage.key_root())


def board(name: str) -> dict:
    return Client().get(f"/api/v1/releases/beside/boards/{name}/").json()


def ranked(name: str) -> set[str]:
    return {row["model"] for row in board(name)["rows"] if row["rank"] is not None}


def test_the_api_lists_both_boards_and_their_groups(release):
    titles = {each["board"]: each["title"] for each in Client().get("/api/v1/releases/beside/boards/").json()}
    assert titles["cognition"] == "Cognition" and titles[LOCATED] == "Cells a: localisation"
    tasks = {task["slug"]: task for task in Client().get("/api/v1/releases/beside/").json()["tasks"]}
    assert (tasks["cognition"]["group"], tasks[LOCATED]["group"]) == ("cognition", "localisation")
    questions = read_questions(storage.release_folder(release), Split.TEST)["question"].to_pylist()
    assert tasks["cognition"]["n_questions"] == questions.count("cognition_0")
    assert tasks[LOCATED]["n_questions"] == questions.count("localisation") == 6


def test_each_metric_is_named(release):
    assert board(LOCATED)["metric"] == "GRIT localisation" and board("cognition")["metric"] == "accuracy"
    assert "GRIT localisation · 6 questions" in Client().get(f"/releases/beside/{LOCATED}/").content.decode()


def test_who_lacks_the_task_is_listed_without_a_rank_and_with_the_reason(release):
    assert ranked(LOCATED) == {"all-round", "no-expert", "by-file"}
    assert ranked("cognition") == {"all-round", "no-boxes", "by-file"}
    assert ranked("overall") == {"all-round", "no-boxes", "no-expert", "by-file"}
    rows = {row["model"]: row for row in board(LOCATED)["rows"]}
    assert rows["no-boxes"]["score"] is None and "Cells a: localisation" in rows["no-boxes"]["reason"]
    for reference in ("baseline-chance", "baseline-majority", "baseline-colour"):
        assert rows[reference]["score"] is None and rows[reference]["reason"]
    page = Client().get(f"/releases/beside/{LOCATED}/").content.decode()
    assert "it has no answers for Cells a: localisation, so it is listed without a rank" in page
    experts = {row["model"]: row["score"] for row in board("cognition")["rows"]}
    assert experts["baseline-chance"] == pytest.approx(1 / 3) and experts["baseline-majority"] is not None
    assert experts["baseline-colour"] is None


def test_a_score_is_that_of_the_report(release):
    for model in ("all-round", "by-file"):
        report = Report.objects.get(evaluation__submission__model__slug=model, evaluation__split="test").document
        told = {task["task"]: task["accuracy"]["estimate"] for task in report["tasks"] if task["variant"] is None}
        for name in ("cognition", LOCATED):
            row = next(row for row in board(name)["rows"] if row["model"] == model)
            assert row["score"] == pytest.approx(told[name], abs=1e-6) and row["score"] > 0
            assert row["score"] < 1 or name == "cognition"


def test_a_caption_file_with_cognition_is_still_ranked_on_captions(release):
    rows = {row["model"]: row for row in board("overall")["rows"]}
    report = Report.objects.get(evaluation__submission__model__slug="by-file", evaluation__split="test")
    assert set(report.document["aggregates"]["macro"]) == {"1"}
    assert rows["by-file"]["score"] == report.document["aggregates"]["macro"]["1"]["estimate"]
    submission = report.evaluation.submission_id
    page = Client().get(f"/submissions/{submission}/").content.decode()
    assert "Caption wording 1" in page and "Localisation tasks" in page and "Cognition tasks" in page


def test_other_boards_have_no_column_of_them(release):
    for name in ("overall", "pooled", "fine", "coarse"):
        for row in board(name)["rows"]:
            assert not {"cognition", LOCATED} & set(row["tasks"])
    assert Client().get(f"/releases/beside/overall/?sort={LOCATED}").status_code == 400


def test_the_release_page_has_a_section_for_each(release):
    page = Client().get("/releases/beside/").content.decode()
    for title, slug in (("Cognition", "cognition"), ("Localisation", LOCATED)):
        section = page.split(f"<h2>{title}</h2>")[1].split("</section>")[0]
        assert f'href="/releases/beside/{slug}/"' in section
    assert LOCATED not in page.split("<h2>Tasks</h2>")[1].split("</section>")[0]


def test_the_file_holds_the_same_numbers(release):
    text = Client().get(f"/releases/beside/{LOCATED}/?format=csv").content.decode()
    found = {row["model"]: row["score"] for row in csv.DictReader(io.StringIO(text))}
    told = {row["model"]: row["score"] for row in board(LOCATED)["rows"]}
    assert {model: float(score) if score else None for model, score in found.items()} == told


def test_facets_narrow_them_too(release):
    value = next(iter(release.summary["test"]["facets"]["modality"]))
    for name in ("cognition", LOCATED):
        narrowed = Client().get(f"/api/v1/releases/beside/boards/{name}/", {"modality": value})
        assert narrowed.status_code == 200 and narrowed.json()["rows"]


def test_recomputing_gives_every_fraction_again(release, capsys):
    call_command("rescore", verify=True)
    assert ", 0 differences" in capsys.readouterr().out
