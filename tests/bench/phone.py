"""What a slow phone makes of the shop's pages: Chromium's own entries, with the network and the processor slowed down.

The server is `storefront.serve` on this machine, which compresses nothing; most hosts do, and send
about a third of the HTML, style sheet and script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser

from local.shop import LocalShop
from support.chromium import chromium

PAGES = {"listing": "/", "product": "/products/studio-apron/"}
ROUNDS = 5

#: Lighthouse's slow 4G: milliseconds of a round trip, and bytes a second.
NETWORK = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
#: How many times slower than this machine the processor is.
SLOWER = 4
PROFILE = {
    "viewport": {"width": 380, "height": 760},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
    "Mobile Safari/537.36",
}
#: Milliseconds without a request, a shift or a long task, after which a page has come to rest.
REST = 700

#: Runs before the page's own scripts. Entries: https://www.w3.org/TR/largest-contentful-paint/,
#: https://www.w3.org/TR/layout-instability/, https://www.w3.org/TR/longtasks/
WATCH = """
window.seen = {lcp: 0, shifts: 0, blocked: 0, last: 0};
const watch = (type, note) => new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) { note(entry); seen.last = performance.now(); }
}).observe({type, buffered: true});
watch("largest-contentful-paint", (entry) => { seen.lcp = entry.startTime; });
watch("layout-shift", (entry) => { if (!entry.hadRecentInput) seen.shifts += entry.value; });
watch("longtask", (entry) => { seen.blocked += Math.max(0, entry.duration - 50); });
watch("resource", () => {});
"""
RESTS = "rest => document.readyState === 'complete' && seen.lcp > 0 && performance.now() - seen.last > rest"
FOUND = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const sent = performance.getEntriesByType("resource").reduce((sum, one) => sum + one.transferSize, page.transferSize);
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return {
    fcp_ms: paint.startTime, lcp_ms: seen.lcp, cls: seen.shifts, blocked_ms: seen.blocked, sent_kb: sent / 1000
  };
}"""


@contextmanager
def shop(folder: Path) -> Iterator[LocalShop]:
    """The demo shop with its pages built, which lead to a checkout that answers."""
    with LocalShop(folder, site_port=0, catch_up=False) as shop:
        shop.build_site()
        yield shop


def measure(shop: LocalShop, say: Callable[[str], None]) -> dict[str, Any]:
    """For each figure the median of `ROUNDS` first visits, by page."""
    assert shop.site is not None
    by_page: dict[str, list[dict[str, float]]] = {}
    with chromium() as browser:
        for name, path in PAGES.items():
            say(f"the {name} page on a slow phone, {ROUNDS} visits")
            # The first one only starts the checkout and warms the files.
            visits = [_visit(browser, shop.site.url + path) for _ in range(1 + ROUNDS)]
            by_page[name] = visits[1:]
    figures = next(iter(by_page.values()))[0]
    return {key: {name: median(visit[key] for visit in by_page[name]) for name in by_page} for key in figures}


def _visit(browser: Browser, url: str) -> dict[str, float]:
    """One visit with nothing in the cache, by somebody who has never been there."""
    context = browser.new_context(**PROFILE)  # type: ignore[arg-type]
    page = context.new_page()
    page.add_init_script(WATCH)
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", NETWORK)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    answer = page.goto(url, wait_until="load")
    assert answer is not None
    assert answer.ok, answer.status
    page.wait_for_function(RESTS, arg=REST)
    found: dict[str, float] = page.evaluate(FOUND)
    context.close()
    return found
