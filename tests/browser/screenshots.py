"""Pictures of every page of a running server, to be looked at: wide and narrow, light and dark.

    python -m tests.browser.screenshots http://127.0.0.1:8000 FOLDER [--user NAME --password WORD]

With an account of staff the organisers' pages are pictured as well.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import BrowserContext, sync_playwright

CHROMIUM = "/usr/bin/chromium"
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
OPEN = {
    "home": "/", "rules": "/rules/", "models": "/models/", "architectures": "/architectures/?search=quickgelu",
    "sign-in": "/account/login/", "sign-up": "/account/signup/",
    "password-reset": "/account/password/reset/",
    "not-found": "/nothing/here/",
}  # fmt: skip
SIGNED_IN = {
    "submit": "/submit/?architecture=ViT-B-32", "submit-predictions": "/submit/?kind=predictions",
    "suggest": "/suggest/", "account": "/account/",
    "tokens": "/account/tokens/", "organise": "/organise/", "organise-scored": "/organise/?state=scored",
    "confirm": "/organise/queues/evaluate/pause/",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    addresses = {**OPEN, **_addresses(options.url, is_staff=bool(options.user)), **(SIGNED_IN if options.user else {})}
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        for width in WIDTHS:
            for theme in THEMES:
                context = browser.new_context(
                    base_url=options.url, viewport={"width": width, "height": 900}, color_scheme=theme
                )
                if options.user:
                    _sign_in(context, options.user, options.password)
                _take(context, addresses, options.folder, f"{width}-{theme}")
                context.close()
        browser.close()


def _addresses(url: str, *, is_staff: bool) -> dict[str, str]:
    """Pages of the current release, named after what stands on its board."""
    releases: list[dict[str, Any]] = requests.get(f"{url}/api/v1/releases/", timeout=20).json()
    if not releases:
        return {}
    slug, task = releases[0]["slug"], releases[0]["tasks"][-1]["slug"]
    base = f"/releases/{slug}"
    found = {
        "release": f"{base}/", "board": f"{base}/overall/", "board-task": f"{base}/{task}/",
        "board-all-columns": f"{base}/fine/?columns=all", "board-sorted": f"{base}/overall/?sort={task}",
        "board-refused": f"{base}/overall/?modality=nothing", "forgetting": f"{base}/forgetting/",
    }  # fmt: skip
    rows = requests.get(f"{url}/api/v1/releases/{slug}/boards/overall/", timeout=60).json()["rows"]
    if rows:
        found |= {"model": f"/models/{rows[0]['model']}/", "submission": f"/submissions/{rows[0]['submission']}/"}
    found |= _label_efficiency(url, slug, is_staff=is_staff)
    gains = requests.get(f"{url}/api/v1/releases/{slug}/forgetting/", timeout=60).json()
    if gains:
        pair = f"/submissions/{gains[0]['submission']}/"
        found |= {"tuned": f"/models/{gains[0]['model']}/", "tuned-submission": pair}
        found |= {"base": f"{pair}base/", "merge": f"{pair}merge/"} if is_staff else {}
    return found


def _label_efficiency(url: str, slug: str, *, is_staff: bool) -> dict[str, str]:
    """The boards of labels: over all datasets, on a ranked and on an unranked one; strategies pooled and one by one."""
    base, api = f"/releases/{slug}", f"{url}/api/v1/releases/{slug}"
    found = {"label-efficiency": f"{base}/label-efficiency/", "strategies": f"{base}/strategies/"}
    found |= {"label-efficiency-all-columns": f"{base}/label-efficiency/?columns=all"}
    board: dict[str, Any] = requests.get(f"{api}/label-efficiency/", timeout=60).json()
    for name, ranked in (("label-efficiency-dataset", True), ("label-efficiency-unranked", False)):
        if slugs := [each["slug"] for each in board["datasets"] if each["ranked"] is ranked]:
            found[name] = f"{base}/label-efficiency/{slugs[0]}/"
    compared = requests.get(f"{api}/strategies/", timeout=60).json()["comparisons"]
    if singles := [each for each in compared if each["dataset"]]:
        asked = "&".join(f"{name}={singles[0][name]}" for name in ("dataset", "encoder", "start"))
        found["strategies-one"] = f"{base}/strategies/?{asked}"
    if is_staff:
        found["confirm-studies"] = f"/organise/releases/{slug}/studies/"
        if board["rows"]:
            found["confirm-encoder"] = f"/organise/models/{board['rows'][0]['model']}/reference-encoder/"
    return found


def _sign_in(context: BrowserContext, user: str, password: str) -> None:
    page = context.new_page()
    page.goto("/account/login/")
    page.get_by_label("Login").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign In").click()
    page.close()


def _take(context: BrowserContext, addresses: dict[str, str], folder: Path, suffix: str) -> None:
    page = context.new_page()
    for name, address in addresses.items():
        page.goto(address)
        page.screenshot(path=folder / f"{name}-{suffix}.png", full_page=True)
    page.close()


if __name__ == "__main__":
    main()
