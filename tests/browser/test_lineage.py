"""An author without documentation: submit a base and what was tuned from it, press one button, watch, read, merge."""

import shutil

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from leaderboard import storage
from leaderboard.models import Analysis, Submission
from tests.browser.test_author import sign_up
from tests.builders.system import import_tiny_release, run_folder, tiny_hub, tiny_weights
from tests.builders.weights import TINY, tiny_state, write_state

pytestmark = pytest.mark.django_db(transaction=True)
SCORED_MS = 90_000
STAIN = "hematoxylin and eosin"


@pytest.fixture
def release(transactional_db, services):
    """dev and test with enough sources for means inside and outside a target domain."""
    release = import_tiny_release("browser", hub=tiny_hub(("dev", "test"), items_per_split=60))
    yield release
    shutil.rmtree(storage.release_folder(release))
    shutil.rmtree(storage.key_root())


def tuned_weights():
    """A checkpoint near that of `tiny_weights`."""
    noise = torch.Generator().manual_seed(1)
    state = {
        name: tensor + 0.03 * torch.randn(tensor.shape, generator=noise) if tensor.is_floating_point() else tensor
        for name, tensor in tiny_state(0).items()
    }
    return write_state(state, run_folder("tuned-") / "tuned.safetensors")


def test_from_a_fine_tune_to_its_merge(page: Page, browser: Browser, live_server, release, workers):
    sign_up(page)
    submit(page, "my-base", tiny_weights(), only_base=True)
    expect(page.locator(".states")).to_contain_text("scored", timeout=SCORED_MS)

    submit(page, "my-tuned", tuned_weights(), base="my-base")
    tuned = page.url
    expect(page.locator(".states")).to_contain_text("published", timeout=SCORED_MS)
    wait_for(page, tuned, ".matrix")
    expect(page.locator("#forgot")).to_contain_text(f"tuned for stain {STAIN}")
    expect(page.locator("#forgot")).not_to_contain_text("declared after scores")

    page.get_by_role("button", name="Sweep the merge with its base").click()
    expect(page.locator("#sweep")).to_contain_text("The sweep is")
    expect(page.get_by_role("heading", name="Best overall").or_(page.locator(".rules"))).to_be_visible(
        timeout=SCORED_MS
    )  # no reload: live
    expect(page.locator("#merging .plot .main-svg").first).to_be_visible()
    assert page.locator("#merging .plot").count() == 3
    assert_curve_follows_the_choice(page)
    page.get_by_text("The figures as a table").click()
    expect(page.locator(".alphas").first.locator("tbody tr")).to_have_count(21)

    page.get_by_role("link", name="Submit the merge").click()
    page.get_by_label("α, the share of the tuned model").select_option("0.35")
    page.get_by_label("Model", exact=True).fill("my-merge")
    page.get_by_role("button", name="Submit the merge").click()
    expect(page.locator("main")).to_contain_text("0.65 × my-base + 0.35 × my-tuned")
    expect(page.locator(".states")).to_contain_text("not published", timeout=SCORED_MS)
    page.goto(f"{tuned}#merging")
    with page.expect_download() as download:
        page.get_by_role("link", name="download").click()
    assert download.value.suggested_filename == "my-merge.safetensors"

    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/models/my-tuned/")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert_readable_without_scripts(browser, live_server)


def assert_readable_without_scripts(browser: Browser, live_server) -> None:
    """What a stranger reads of the published model: the numbers of the stored analysis, in tables alone."""
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/models/my-tuned/")
    tuned = Submission.objects.get(model__slug="my-tuned")
    document = Analysis.objects.get(
        link__submission=tuned, kind="forgetting", split="test", superseded_at=None
    ).document
    outside = document["headline"]["outside"]["delta"]["estimate"]
    shown = f"{abs(outside) * 100:.1f}"
    expect(page.locator("#forgot .figures dd").first).to_contain_text(shown)
    expect(page.locator(".matrix tbody tr").nth(2).locator(".delta")).to_have_count(len(document["tasks"]))
    expect(page.locator("figure.figure").first).to_be_hidden()
    page.get_by_text("The figures as a table").click()
    expect(page.locator(".alphas tbody tr").first).to_be_visible()
    page.get_by_text("Each task and facet as a table").click()
    expect(page.locator(".single tbody tr:not(.section)").first).to_be_visible()
    expect(page.get_by_label("curve of")).to_be_hidden()
    expect(page.get_by_role("button", name="Sweep the merge")).to_have_count(0)
    context.close()


def assert_curve_follows_the_choice(page: Page) -> None:
    """Another task or facet is drawn from the page itself."""
    figure, asked = page.locator("figure.figure", has=page.get_by_label("curve of")), []
    drawn = figure.locator(".main-svg").first
    expect(drawn.locator(".scatterlayer .trace")).to_have_count(4)  # level, band, line
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("curve of").select_option(label="pathology")
    expect(drawn.locator(".scatterlayer .trace")).to_have_count(8)  # of its fine and its coarse tasks
    assert not [url for url in asked if not url.endswith("icon.svg")]  # which a browser fetches when it likes


def submit(page: Page, model: str, weights, *, base: str = "", only_base: bool = False) -> None:
    page.goto("/submit/")
    page.get_by_label("Model", exact=True).fill(model)
    page.get_by_label("Architecture").select_option(TINY)
    page.get_by_label("Weights").set_input_files(weights)
    if base:
        page.get_by_label("Fine-tuned from (optional)").fill(base)
        page.get_by_text("What it was tuned for").click()
        page.locator(".target summary", has_text="Stain").click()
        page.get_by_label(STAIN).check()
    box = "Only a base: keep it private" if only_base else "Publish the reports as soon as they are scored"
    page.get_by_label(box).check()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name=model)).to_be_visible()


def wait_for(page: Page, address: str, selector: str, looks: int = 60) -> None:
    """Look again until the page has it, as its author would."""
    for _ in range(looks):
        page.goto(address)
        if page.locator(selector).count():
            return
        page.wait_for_timeout(500)
    raise AssertionError(f"{selector} did not appear")
