"""Boards as readers meet them: filters, sorting, facets, exports, marks, and how little they cost."""

import csv
import io
import re

import pytest
from django.test import Client

from evaluator.release.schema import Split
from leaderboard import catalogue, submissions
from leaderboard.boards import snapshots
from leaderboard.boards.compute import WITHHELD
from leaderboard.models import BoardRefresh, BoardSnapshot
from tests.builders.entries import make_answered

pytestmark = pytest.mark.django_db
BOARD = "/releases/standing/overall/"
ROW = re.compile(r'<tr class="[^"]*"><td class=rank>([^<]*)<th scope=row class=model><a href="/models/([^/]+)/"')


def shown(query: str = "", board: str = BOARD) -> list[tuple[str, str]]:
    """(rank interval, model) of each row of the page."""
    answer = Client().get(f"{board}{query}")
    assert answer.status_code == 200, answer.content.decode()
    return ROW.findall(answer.content.decode())


def test_ranked_first_then_baselines(standing):
    assert shown() == [
        ("1", "strong"),
        ("2", "weak"),
        ("–", "baseline-majority"),
        ("–", "baseline-colour"),
        ("–", "baseline-chance"),
    ]


def test_page_needs_few_queries(standing, django_assert_num_queries):
    with django_assert_num_queries(2):
        Client().get(BOARD)
    value = next(iter(standing.release.summary["test"]["facets"]["modality"]))
    Client().get(BOARD, {"modality": value})
    with django_assert_num_queries(3):  # a facet board also asks whether its entries are still the same
        assert Client().get(BOARD, {"modality": value}).status_code == 200


def test_filters_hide_rows_and_change_no_rank(standing):
    make_answered(standing.weak, standing.release, kind="predictions", split="test", skill=0.3, seed=5)
    drain_now(standing)
    assert shown("?verified=1") == [
        ("1", "strong"),
        ("–", "baseline-majority"),
        ("–", "baseline-colour"),
        ("–", "baseline-chance"),
    ]
    assert shown("?kind=predictions") == [("2", "weak")]
    assert shown("?protocol=self-reported")[0] == ("2", "weak")
    page = Client().get(f"{BOARD}?verified=1").content.decode()
    assert "showing 4 of 5" in page and "hidden, because it is not verified" in page


def drain_now(standing):
    """Score and rebuild in this test's transaction; the worker's own rounds need committed rows."""
    from leaderboard.models import Evaluation
    from leaderboard.publication import publish
    from leaderboard.workers import score

    for evaluation in Evaluation.objects.filter(state="answered"):
        revision = standing.release.key_revision
        report = score.store(evaluation, revision, score.compute(evaluation, revision))
        Evaluation.objects.filter(pk=evaluation.pk).update(state="scored")
        publish(report, by=standing.owner)
    for split in standing.release.info["splits"]:
        snapshots.refresh(standing.release, split)


def test_sorting_keeps_filters_and_puts_the_unmeasured_last(standing):
    task = snapshots.get_board(standing.release, Split.TEST, "overall").columns[0].slug
    make_answered(standing.secret, standing.release, leave_out=task, seed=6, publish=True)
    drain_now(standing)
    for order in ("asc", "desc"):
        assert shown(f"?sort={task}&order={order}")[-1][1] == "secret"
    page = Client().get(f"{BOARD}?verified=1&sort={task}").content.decode()
    assert page.count('aria-sort="descending"') == 1 and "<td class=chosen>" in page
    assert all("verified=1" in link for link in re.findall(r'class="sort" href="([^"]*)"', page))
    assert "it has no answers for" in Client().get(BOARD).content.decode()


def test_sorting_agrees_with_the_numbers(standing):
    rows = list(csv.DictReader(io.StringIO(Client().get(f"{BOARD}?sort=coarse-domain&format=csv").content.decode())))
    values = [float(row["coarse-domain"]) for row in rows]
    assert values == sorted(values, reverse=True) and len(rows) == 5


def test_json_has_the_same_rows_as_the_page(standing):
    answer = Client().get("/api/v1/releases/standing/boards/overall/").json()
    assert [row["model"] for row in answer["rows"]] == [model for _, model in shown()]
    strong = answer["rows"][0]
    report = Client().get(f"/api/v1/submissions/{strong['submission']}/").json()["reports"]["test"]
    assert strong["score"] == report["aggregates"]["macro"]["1"]["estimate"]
    assert strong["low"] < strong["score"] < strong["high"]
    task = report["tasks"][0]["task"]
    expected = next(row for row in report["tasks"] if row["task"] == task and row["variant"] == 1)
    assert strong["tasks"][task]["score"] == expected["accuracy"]["estimate"]


@pytest.mark.parametrize(
    "query",
    [
        "?modality=nope",
        "?split=nope",
        "?kind=nope",
        "?protocol=x",
        "?order=x",
        "?sort=nope",
        "?sort=%00",
        "?domain=%00",
    ],
)
def test_a_choice_that_does_not_exist_is_a_sentence(standing, query):
    answer = Client().get(f"{BOARD}{query}")
    assert answer.status_code == 400 and "<li>" in answer.content.decode()
    answer = Client().get(f"/api/v1/releases/standing/boards/overall/{query}")
    assert answer.status_code == 400 and answer.json()["errors"]


def test_facets_rank_anew_and_are_kept(standing):
    facets = standing.release.summary["dev"]["facets"]
    value = next(iter(facets["modality"]))
    before = BoardSnapshot.objects.exclude(facets="").count()
    rows = shown(f"?split=dev&modality={value}&domain={next(iter(facets['domain']))}")
    assert {model for _, model in rows} == {"strong", "baseline-chance", "baseline-majority", "baseline-colour"}
    shown(f"?split=dev&domain={next(iter(facets['domain']))}&modality={value}")
    assert BoardSnapshot.objects.exclude(facets="").count() == before + 1  # one name for every order of asking


def test_small_intersections_of_a_hidden_split_show_no_score(standing):
    value = next(iter(standing.release.summary["test"]["facets"]["modality"]))
    answer = Client().get(f"/api/v1/releases/standing/boards/overall/?split=test&modality={value}").json()
    assert all(row["score"] is None and row["low"] is None for row in answer["rows"])
    assert WITHHELD in Client().get(f"{BOARD}?split=test&modality={value}").content.decode()


def test_no_more_facet_boards_are_kept_than_the_cap(standing, monkeypatch):
    monkeypatch.setattr(snapshots, "MOST_FACET_SNAPSHOTS", 2)
    values = [(facet, value) for facet, found in standing.release.summary["dev"]["facets"].items() for value in found]
    for facet, value in values[:5]:
        snapshots.get_board(standing.release, Split.DEV, "overall", {facet: (value,)})
    assert BoardSnapshot.objects.filter(split="dev").exclude(facets="").count() == 2


def test_a_facet_board_follows_its_entries(standing):
    facet, found = next(iter(standing.release.summary["test"]["facets"].items()))
    facets = {facet: tuple(found)}
    assert "strong" in [row.model for row in snapshots.get_board(standing.release, Split.TEST, "overall", facets).rows]
    standing.published.entries.filter(split="test").update(superseded_at="2026-01-01T00:00Z")
    board = snapshots.get_board(standing.release, Split.TEST, "overall", facets)
    assert "strong" not in [row.model for row in board.rows]


def test_the_author_chooses_what_stands(standing):
    later = make_answered(standing.strong, standing.release, skill=0.1, seed=9)
    drain_now(standing)
    assert standing_submission() == str(later.pk)
    catalogue.describe(standing.strong, {"shown_submission": standing.published})
    assert BoardRefresh.objects.filter(release=standing.release, split="test").exists()
    snapshots.refresh(standing.release, "test")
    assert standing_submission() == str(standing.published.pk)


def standing_submission() -> str:
    rows = Client().get("/api/v1/releases/standing/boards/overall/").json()["rows"]
    return next(row["submission"] for row in rows if row["model"] == "strong")


def test_withdrawn_entries_leave_the_board_and_a_tombstone(standing):
    submissions.withdraw(standing.published, by=standing.owner)
    snapshots.refresh(standing.release, "test")
    assert "strong" not in [model for _, model in shown()]
    page = Client().get(f"/submissions/{standing.published.pk}/").content.decode()
    assert "Withdrawn by its author" in page and "Report, test split" not in page


def test_own_rows_are_marked_for_their_owner_alone(standing):
    client = Client()
    client.force_login(standing.owner)
    assert '<tr class="own held first last">' in client.get(BOARD).content.decode()
    assert "own held" not in Client().get(BOARD).content.decode()


def test_names_are_escaped_in_stored_rows(standing):
    catalogue.describe(standing.strong, {"name": '<b onclick="x">&'})
    snapshots.refresh(standing.release, "test")
    page = Client().get(BOARD).content.decode()
    assert "&lt;b onclick=&quot;x&quot;&gt;&amp;" in page and "<b onclick" not in page


def test_a_name_that_a_spreadsheet_would_run_is_defused(standing):
    catalogue.describe(standing.strong, {"name": "=HYPERLINK(1)"})
    snapshots.refresh(standing.release, "test")
    assert "'=HYPERLINK(1)" in Client().get(f"{BOARD}?format=csv").content.decode()
