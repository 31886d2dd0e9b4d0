"""A real browser on a live server, with the real supervisor and its workers behind it."""

import os
import shutil
from collections.abc import Iterator

import pytest
from django.db import connection
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from leaderboard import storage
from leaderboard.models import Release
from tests.builders.live import LiveSystem
from tests.builders.system import import_tiny_release, tiny_hub

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless; as root it cannot have a sandbox of its own."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # playwright keeps a loop running in this thread
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def context(browser: Browser, live_server) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page of which every script error and refused resource fails the test."""
    page, faults = context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    yield page
    assert not faults


@pytest.fixture
def release(transactional_db, services) -> Iterator[Release]:
    """A release of dev and test with its baselines."""
    release = import_tiny_release("browser", hub=tiny_hub(("dev", "test")))
    yield release
    shutil.rmtree(storage.release_folder(release))
    shutil.rmtree(storage.key_root())


@pytest.fixture
def workers(release: Release, services) -> Iterator[LiveSystem]:
    """The supervisor with one worker per queue."""
    system = LiveSystem(services=services, lease_s=10, runners=1)
    system.start()
    yield system
    assert not system.stop(), "a process outlived the supervisor"
    connection.close()
