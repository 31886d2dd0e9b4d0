"""An author's whole way in a real browser: account, token, checkpoint, board; a wrong prediction file, a right one."""

import csv
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, expect

from evaluator.release.read import read_questions
from evaluator.release.schema import Split
from leaderboard import storage
from tests.builders.system import tiny_weights
from tests.builders.weights import TINY

pytestmark = pytest.mark.django_db(transaction=True)
SCORED_MS = 90_000


def test_from_sign_up_to_the_board(page: Page, live_server, release, workers, tmp_path):
    sign_up(page)
    token = make_token(page)

    submit_checkpoint(page, tiny_weights())
    address = page.url
    expect(page.locator(".states")).to_contain_text("published", timeout=SCORED_MS)
    expect(page.get_by_role("heading", name="Report, test split")).to_be_visible(timeout=SCORED_MS)  # no reload: live
    answer = requests.get(f"{live_server.url}/api/v1{address.removeprefix(live_server.url)}", timeout=10,
                          headers={"Authorization": f"Token {token}"})  # fmt: skip
    assert answer.json()["state"] == "scored" and set(answer.json()["reports"]) == {"dev", "test"}
    on_board(page, "my-checkpoint", "✓ verified")

    wrong, right = prediction_files(release, tmp_path)
    submit_predictions(page, wrong)
    expect(page.get_by_role("heading", name="3 problems to put right")).to_be_visible(timeout=SCORED_MS)
    expect(page.locator("table.problems")).to_contain_text("nowhere")
    page.get_by_role("link", name="Fix and submit again").click()
    expect(page.get_by_label("Model", exact=True)).to_have_value("my-answers")  # the form is kept
    page.get_by_label("Prediction file").set_input_files(right)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="Report, test split")).to_be_visible(timeout=SCORED_MS)
    page.get_by_role("link", name="Publish").click()
    expect(page.locator("main")).to_contain_text("Everyone will see the scores")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator(".messages")).to_contain_text("Published")
    on_board(page, "my-answers", "self-reported")


def sign_up(page: Page) -> None:
    page.goto("/submit/")  # asks to sign in first, and leads back
    page.get_by_role("link", name="sign up").click()
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Email").fill("ada@example.org")
    page.get_by_label("Password", exact=True).fill("correct-horse-staple")
    page.get_by_label("Password (again)").fill("correct-horse-staple")
    page.get_by_role("button", name="Sign Up").click()
    expect(page.get_by_role("link", name="ada")).to_be_visible()


def make_token(page: Page) -> str:
    page.goto("/account/tokens/")
    page.get_by_label("Name").fill("laptop")
    page.get_by_role("button", name="Make the token").click()
    return page.locator("#new-token").inner_text()


def submit_checkpoint(page: Page, weights: Path) -> None:
    page.goto("/submit/")
    page.get_by_label("Model", exact=True).fill("my-checkpoint")
    page.get_by_label("Architecture").select_option(TINY)
    page.get_by_label("Weights").set_input_files(weights)
    page.get_by_label("Publish the reports as soon as they are scored").check()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="my-checkpoint")).to_be_visible()


def submit_predictions(page: Page, file: Path) -> None:
    page.goto("/submit/?kind=predictions")
    page.get_by_label("Model", exact=True).fill("my-answers")
    page.get_by_label("Prediction file").set_input_files(file)
    page.get_by_role("button", name="Submit").click()


def prediction_files(release, folder: Path) -> tuple[Path, Path]:
    """One with an option that is not there, an unknown image and so a missing answer; and a right one."""
    rows = [
        [row["dataset"], row["image_id"], row["question"], row["options"][0]]
        for row in read_questions(storage.release_folder(release), Split.TEST).to_pylist() if row["variant"] is None
    ]  # fmt: skip
    wrong = [[*rows[0][:3], "no such option"], [rows[1][0], "nowhere", *rows[1][2:]], *rows[2:]]
    for name, content in (("wrong.csv", wrong), ("right.csv", rows)):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([["dataset", "image_id", "question", "option"], *content])
    return folder / "wrong.csv", folder / "right.csv"


def on_board(page: Page, model: str, mark: str) -> None:
    """Wait until the worker has rebuilt the board, as a reader would: by looking again."""
    for _ in range(30):
        page.goto("/releases/browser/overall/")
        row = page.locator("table.board tbody tr", has_text=model)
        if row.count():
            expect(row).to_contain_text(mark)
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{model} did not reach the board")
