"""Reading without a mouse, on a small screen, without scripts."""

import pytest
from playwright.sync_api import Browser, Page, expect

from leaderboard.workers.drain import drain
from tests.builders.boards import store_board
from tests.builders.entries import make_answered
from tests.builders.leaderboard import make_model, make_user

pytestmark = pytest.mark.django_db(transaction=True)
OPEN_PAGES = (
    "/ /rules/ /models/ /architectures/ /architectures/?search=quickgelu#ViT-B-32-quickgelu /releases/browser/ "
    "/releases/browser/overall/ /releases/browser/overall/?columns=all /releases/browser/forgetting/ /models/strong/ "
    "/account/login/ /account/signup/ /nope"
).split()
SIGNED_IN_PAGES = (
    "/submit/ /submit/?kind=predictions /account/ /account/tokens/ /models/strong/edit/ /organise/ "
    "/organise/queues/evaluate/pause/"
).split()


@pytest.fixture
def owner(release):
    owner = make_user("ada", is_staff=True)
    make_answered(make_model(owner, "strong"), release, skill=0.9, seed=1)
    drain("score")
    return owner


def sign_in(page: Page) -> None:
    page.goto("/account/login/")
    page.get_by_label("Login").fill("ada")
    page.get_by_label("Password").fill("micro-graph-7")
    page.get_by_role("button", name="Sign In").click()
    expect(page.get_by_role("link", name="ada")).to_be_visible()


def test_nothing_is_wider_than_a_phone(page: Page, owner):
    page.set_viewport_size({"width": 390, "height": 800})
    sign_in(page)
    own = f"/submissions/{owner.submissions.first().pk}/"
    for address in [*OPEN_PAGES, *SIGNED_IN_PAGES, own, f"{own}base/"]:
        page.goto(address)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, f"{address} is {wider} px too wide"


def test_what_is_touched_is_large_enough(page: Page, owner):
    page.set_viewport_size({"width": 390, "height": 800})
    sign_in(page)
    for address in ("/releases/browser/overall/", "/submit/", "/account/tokens/"):
        page.goto(address)
        for control in page.locator("button:visible, .button:visible, nav a:visible, select:visible").all():
            assert control.bounding_box()["height"] >= 43.5, (address, control.inner_text())


def test_a_keyboard_reaches_the_table_and_explains_its_marks(page: Page, owner):
    page.goto("/releases/browser/overall/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("[document.activeElement.className, document.activeElement.innerText]")
        seen.append(focused)
        if focused[0] == "mark verified":
            break
    assert ["board-scroll", seen[-1][1]] != seen[-1] and seen[-1][0] == "mark verified"
    tip = page.evaluate("getComputedStyle(document.activeElement, '::after').content")
    assert "Our worker computed the answers" in tip


def test_sorting_and_filtering_work_without_scripts(browser: Browser, live_server, owner, release):
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/releases/browser/overall/")
    page.locator("thead th.model a.sort").click()
    expect(page.locator("thead th.model")).to_have_attribute("aria-sort", "ascending")
    page.get_by_label("verified only").check()
    page.get_by_role("button", name="Apply").click()
    assert "verified=1" in page.url and "sort=model" in page.url
    expect(page.locator("thead th.model")).to_have_attribute("aria-sort", "ascending")
    page.locator(".facet summary").first.click()
    page.locator(".facet .options input").first.check()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("h1")).to_contain_text("·")
    context.close()


def test_header_and_first_column_stay_in_sight(page: Page, release):
    release.snapshots.all().delete()
    store_board(release, entries=60, tasks=20)
    page.goto("/releases/browser/overall/")
    page.evaluate("document.querySelector('.board-scroll').scrollTo(900, 1200)")
    region = page.locator(".board-scroll").bounding_box()
    head, model = page.locator("thead th.model").bounding_box(), page.locator("tbody .model").nth(45).bounding_box()
    assert abs(head["y"] - region["y"]) < 3 and 0 <= model["x"] - region["x"] < 90


def test_the_register_keeps_its_header_in_sight(page: Page, release):
    page.goto("/architectures/#ViT-L-14")
    head, row = page.locator(".register thead th").first.bounding_box(), page.locator("#ViT-L-14").bounding_box()
    assert abs(head["y"]) < 3 and head["height"] - 2 <= row["y"] < 300


def test_the_form_says_at_once_what_the_chosen_architecture_is(page: Page, owner):
    sign_in(page)
    page.goto("/submit/")
    page.get_by_label("Architecture").select_option("ViT-B-32")
    expect(page.locator("#chosen-architecture")).to_contain_text("ViT-B-32-quickgelu has the same tensors")
    page.get_by_label("Architecture").select_option("ViT-B-32-256")
    expect(page.locator("#chosen-architecture")).to_contain_text("256 px")
    expect(page.locator("#chosen-architecture .notice")).to_have_count(0)
    expect(page.get_by_role("button", name="Show what it does")).to_have_count(0)


def test_without_scripts_a_button_says_it_and_sends_no_file(browser: Browser, live_server, owner, release, tmp_path):
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    sign_in(page)
    page.goto("/submit/")
    page.get_by_label("Model", exact=True).fill("my-clip")
    page.get_by_label("Architecture").select_option("ViT-B-32")
    (tmp_path / "mine.safetensors").write_bytes(b"0" * 3_000_000)
    page.get_by_label("Weights").set_input_files(tmp_path / "mine.safetensors")
    with page.expect_request("**/submit/*") as sent:
        page.get_by_role("button", name="Show what it does").click()
    assert len(sent.value.post_data_buffer or b"") < 2_000
    expect(page.locator("#chosen-architecture")).to_contain_text("ViT-B-32-quickgelu has the same tensors")
    expect(page.get_by_label("Model", exact=True)).to_have_value("my-clip")
    assert owner.submissions.count() == 1  # the one it had before
    context.close()
