"""A microscopist asks how many labels an encoder needs, and which: from the model's page to boards and strategies."""

import re
import shutil

import pytest
from django.core.management import call_command
from django.db import connection
from playwright.sync_api import Browser, Page, expect

from leaderboard import storage
from leaderboard.models import LabelEfficiency
from tests.browser.test_author import sign_up
from tests.browser.test_lineage import SCORED_MS, submit, wait_for
from tests.builders.live import LiveSystem
from tests.builders.system import import_tiny_release, tiny_hub, tiny_weights

pytestmark = pytest.mark.django_db(transaction=True)
BOARD = "/releases/browser/label-efficiency/"
STRATEGIES = "/releases/browser/strategies/"
MODEL = "/models/my-encoder/"
COMPARED = ["random", "margin", "typiclust", "dropquery"]
LOOKS = 240  # studies run at the lowest priority


@pytest.fixture
def release(transactional_db, services):
    """dev and test whose fine datasets are large enough to be ranked."""
    release = import_tiny_release("browser", hub=tiny_hub(("dev", "test"), items_per_split=60))
    yield release
    shutil.rmtree(storage.release_folder(release))
    shutil.rmtree(storage.key_root())


@pytest.fixture
def workers(release, services):
    """The supervisor with one worker per queue, that of studies among them."""
    system = LiveSystem(services=services, lease_s=20, runners=1, studies=1)
    system.start()
    yield system
    assert not system.stop(), "a process outlived the supervisor"
    connection.close()


def test_from_a_model_to_the_boards_of_labels(page: Page, browser: Browser, live_server, release, workers):
    sign_up(page)
    submit(page, "my-encoder", tiny_weights())
    expect(page.locator(".states")).to_contain_text("published", timeout=SCORED_MS)
    wait_for(page, MODEL, "#label-efficiency .small-curve", LOOKS)
    assert_section_shows_the_documents(page)

    page.locator("#label-efficiency").get_by_role("link", name="board of").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Label efficiency")
    expect(page.locator("table.board tbody tr")).to_have_count(1)
    assert_curves_follow_the_choice(page)
    page.get_by_text("The curves as a table").click()
    expect(page.locator("table.curves tbody").first.locator("tr").nth(1)).to_contain_text("my-encoder")
    title = page.get_by_label("dataset", exact=True).locator("option").last.inner_text()
    page.get_by_role("navigation", name="Datasets").get_by_role("link", name=title).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Label efficiency · {title}")
    expect(page.locator(".plot .main-svg").first).to_be_visible()

    dataset = LabelEfficiency.objects.order_by("dataset").first().dataset
    call_command("reference_encoder", "my-encoder")
    call_command("label_efficiency", "browser", track="b", dataset=[dataset], strategy=COMPARED, seeds=4)
    wait_for(page, STRATEGIES, ".strategies", LOOKS)
    assert_strategies_are_compared(page)

    page.set_viewport_size({"width": 390, "height": 800})
    for address in (MODEL, BOARD, f"{BOARD}{dataset}/", STRATEGIES):
        page.goto(address)
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider <= 0, address
    assert_readable_without_scripts(browser, live_server)


def assert_section_shows_the_documents(page: Page) -> None:
    """A row and a drawing for every dataset; the table under them has every budget."""
    section = page.locator("#label-efficiency")
    documents = [row.document for row in LabelEfficiency.objects.filter(superseded_at=None)]
    measured = [document for document in documents if document["budgets"]]
    assert measured
    expect(section.locator("svg.small-curve")).to_have_count(len(measured))
    areas = {f"{100 * document['aulc']['log2']['estimate']:.1f}".replace("-", "−") for document in measured}
    assert set(section.locator(".labels-needed tbody strong").all_inner_texts()) == areas
    section.get_by_text("The curves as a table").click()
    budgets = sum(len(document["budgets"]) for document in measured)
    expect(section.locator(".budgets tbody th[scope=row]").filter(has_text=re.compile(r"^\d+$"))).to_have_count(budgets)
    expect(section.locator(".budgets")).to_be_visible()


def assert_curves_follow_the_choice(page: Page) -> None:
    """Another dataset is drawn from the page itself."""
    drawn, asked = page.locator(".plot .main-svg").first, []
    expect(drawn.locator(".scatterlayer .trace")).to_have_count(2)  # the zero-shot level and the curve
    before = drawn.locator(".scatterlayer .trace path.js-line").last.get_attribute("d")
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("dataset", exact=True).select_option(index=1)
    expect(drawn.locator(".scatterlayer .trace path.js-line").last).not_to_have_attribute("d", before)
    assert not [url for url in asked if not url.endswith("icon.svg")]


def assert_strategies_are_compared(page: Page) -> None:
    """All of them in a table, a figure and a matrix; another start by choice."""
    expect(page.locator(".strategies tbody tr")).to_have_count(len(COMPARED))
    expect(page.locator(".strategies")).to_contain_text("the two likeliest classes are nearly tied")
    expect(page.locator(".beats tbody tr")).to_have_count(len(COMPARED))
    expect(page.locator(".plot .main-svg").first).to_be_visible()
    page.get_by_text("The curves as a table").click()
    expect(page.locator(".budgets tbody tr").first).to_be_visible()
    page.get_by_label("start", exact=True).select_option(label="the middles of clusters")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("start", exact=True)).to_have_value("centroid")


def assert_readable_without_scripts(browser: Browser, live_server) -> None:
    """What a stranger reads: drawings of the server and tables; figures that need a script are not there."""
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(MODEL)
    expect(page.locator("#label-efficiency svg.small-curve").first).to_be_visible()
    for address, table in ((MODEL, ".budgets"), (BOARD, "table.curves"), (STRATEGIES, ".budgets")):
        page.goto(address)
        for figure in page.locator("figure.figure").all():
            expect(figure).to_be_hidden()
        page.get_by_text("The curves as a table").first.click()
        expect(page.locator(table).locator("tbody tr").first).to_be_visible()
    context.close()
