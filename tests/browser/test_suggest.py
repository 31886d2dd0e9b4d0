"""Which images to label next, without JavaScript: send embeddings, write labels beside images, get the next round."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from leaderboard.models import Suggestion
from tests.builders.leaderboard import make_user
from tests.builders.suggestions import computed

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_rounds_without_javascript(browser: Browser, live_server, tmp_path: Path) -> None:
    names = [f"plate/{place:02}.tif" for place in range(20)]
    features = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    np.savez(tmp_path / "plate.npz", id=np.array(names), embedding=features)
    make_user("ada")
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": 390, "height": 900}, java_script_enabled=False
    )
    page = context.new_page()
    page.goto("/account/login/?next=/suggest/")
    page.get_by_label("Login").fill("ada")
    page.get_by_label("Password").fill("micro-graph-7")
    page.get_by_role("button", name="Sign In").click()
    page.get_by_label("Embeddings").set_input_files(tmp_path / "plate.npz")
    page.get_by_label("How many images").fill("3")
    page.get_by_role("button", name="Suggest images").click()
    assert page.get_by_role("status").is_visible()
    computed(Suggestion.objects.get(round=1), features, names)
    page.reload()
    assert page.get_by_role("heading", name="3 images to label next").is_visible()
    for order, word in enumerate(("cell", "nucleus"), 1):
        page.locator(f"#id_label-{order}").fill(word)
    page.get_by_role("button", name="Ask for round 2").click()
    computed(Suggestion.objects.get(round=2), features, names)
    page.reload()
    assert page.get_by_text("trained on your 2 labels").is_visible()
    assert page.get_by_role("columnheader", name="guess").count() == 1
    page.get_by_role("link", name="Round 1").click()
    assert page.get_by_text("Its labels were sent").is_visible()
    context.close()
