"""A real Chromium (Debian's) and a whole shop; catch-up runs by itself, as in `make run`."""

from __future__ import annotations

import shutil

import pytest
from playwright.sync_api import sync_playwright

from local.shop import LocalShop

#: Without these Chromium calls home at every start, which a closed network refuses many times over.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium():
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    assert path, "there is no Chromium; make test installs it from Debian's packages"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    with LocalShop(tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture(params=[(1280, 900), (380, 760)], ids=["desktop", "phone"])
def page(request, chromium):
    width, height = request.param
    context = chromium.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(15_000)
    page = context.new_page()
    mistakes: list[str] = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    yield page
    assert mistakes == []
    context.close()
