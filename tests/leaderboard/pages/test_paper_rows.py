"""The paper's published rows on the boards of a release that carries its datasets: to read against, never ranked."""

import csv
import io
import json
import shutil
from importlib import resources

import pytest
from django.core.management import call_command
from django.test import Client

from leaderboard import storage
from leaderboard.boards import snapshots
from leaderboard.models import Release
from leaderboard.workers.drain import drain
from tests.builders.entries import make_answered
from tests.builders.hub import cognition_question, hub_row, write_hub
from tests.builders.leaderboard import make_model, make_user
from tests.builders.system import import_tiny_release, run_folder

pytestmark = pytest.mark.django_db
PUBLISHED = json.loads(resources.files("evaluator.release").joinpath("data/paper.json").read_text("utf-8"))
CLIP = next(model for model in PUBLISHED["models"] if model["name"] == "CLIP")
SPLITS = ("dev", "test")


@pytest.fixture(scope="module")
def whole(django_db_setup, django_db_blocker, services):
    """A release with every dataset of the paper and one model on its boards, and `other`, with none of them."""
    rows = [
        hub_row(f"{dataset[:9]}-{split}-{number}", dataset, number % 3, split=split)
        for dataset in CLIP["tasks"] for split in SPLITS for number in range(3)
    ]  # fmt: skip
    for number, row in enumerate(rows[:12]):
        row["questions"]["cognition_0"] = cognition_question(number % 3)
    with django_db_blocker.unblock():
        release = import_tiny_release("whole", write_hub(run_folder("paper-hub-") / "hub", rows))
        make_answered(make_model(make_user("author"), "newcomer"), release, skill=0.7, seed=1)
        other = import_tiny_release("other")
        drain("score")
        yield release
        call_command("flush", interactive=False, verbosity=0)
        for each in (release, other):
            shutil.rmtree(storage.release_folder(each))
        shutil.rmtree(storage.key_root())


def board(name: str, query: str = "") -> dict[str, dict]:
    rows = Client().get(f"/api/v1/releases/whole/boards/{name}/{query}").json()["rows"]
    return {row["model"]: row for row in rows}


@pytest.mark.parametrize(
    ("name", "column"), [("pooled-coarse", "coarse"), ("pooled-fine", "fine"), ("cognition", "cognition")]
)
def test_table_1_stands_unranked_on_its_three_boards(whole, name, column):
    rows = board(name)
    paper = {model.removeprefix("paper:"): row for model, row in rows.items() if row["kind"] == "paper"}
    printed = {model["name"]: model["table_1"][column] for model in PUBLISHED["models"] if "table_1" in model}
    assert {model: row["score"] for model, row in paper.items()} == {
        model: pytest.approx(score / 100) for model, (score, _) in printed.items()
    }
    for model, row in paper.items():
        score, half_width = printed[model]
        assert [row["low"], row["high"]] == pytest.approx([(score - half_width) / 100, (score + half_width) / 100])
        assert row["rank"] is row["rank_low"] is row["submission"] is None and not row["verified"]
    assert rows["newcomer"]["rank"] == 1
    if column == "fine":
        cells = rows["paper:CLIP"]["tasks"]
        assert {task: cell["score"] for task, cell in cells.items()} == {
            task: pytest.approx(value / 100) for task, value in CLIP["tasks"].items()
        }


def test_every_dataset_has_its_published_figures(whole):
    for dataset, value in CLIP["tasks"].items():
        rows = board(dataset)
        assert rows["paper:CLIP"]["score"] == pytest.approx(value / 100) and rows["paper:CLIP"]["low"] is None
        assert sum(row["kind"] == "paper" for row in rows.values()) == 12


def test_other_boards_and_chosen_images_have_none(whole):
    for name in ("overall", "coarse", "fine", "pooled", "coarse-stain"):
        assert not any(row["kind"] == "paper" for row in board(name).values()), name
    modality = next(iter(whole.summary["test"]["facets"]["modality"]))
    assert not any(row["kind"] == "paper" for row in board("pooled-fine", f"?modality={modality}").values())


def test_the_page_says_where_they_are_from_and_links_to_no_model(whole, django_assert_num_queries):
    with django_assert_num_queries(2):
        page = Client().get("/releases/whole/pooled-fine/").content.decode()
    assert page.count("<th scope=row class=model>GPT-4o <small") == 1 and "/models/paper" not in page
    assert page.count(">reported in the paper</a>") == 12 and "arXiv 2407.01791" in page
    for query in ("?kind=checkpoint", "?sort=n", "?sort=score&order=asc", "?verified=1", "?kind=paper"):
        answer = Client().get(f"/releases/whole/pooled-fine/{query}")
        assert answer.status_code == 200 and "/models/paper" not in answer.content.decode(), query
    shown = Client().get("/releases/whole/pooled-fine/?kind=checkpoint").content.decode()
    assert "reported in the paper</a>" not in shown


def test_the_file_has_them_too(whole):
    page = Client().get("/releases/whole/pooled-coarse/?format=csv").content.decode()
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(page))}
    assert rows["GPT-4o"]["kind"] == "paper" and float(rows["GPT-4o"]["score"]) == 0.6268
    assert rows["GPT-4o"]["rank"] == rows["GPT-4o"]["submission"] == ""


def test_a_release_of_other_datasets_has_none(whole):
    for name in snapshots.board_names(Release.objects.get(slug="other"), "test"):
        rows = Client().get(f"/api/v1/releases/other/boards/{name}/").json()["rows"]
        assert rows and not any(row["kind"] == "paper" for row in rows)
