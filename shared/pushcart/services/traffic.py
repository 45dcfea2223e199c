"""Page views of the static shop: how often a page is seen and which sites lead there, and nothing about anybody.

Kept is one document for each day (UTC) in the collection `traffic`: `{id: "2026-11-21", version, views, pages:
{path: n}, referrers: {host: n}}`. There is no cookie, and neither an address nor a User-Agent is ever kept; without
them nobody can be told from anybody else, so views are counted, not visitors.

A view costs no write: counts gather in memory and go to the store together, `every` so many seconds. A process that
is killed loses the counts of at most that time. A write whose answer is lost is made again and may count twice.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Collection
from datetime import date, timedelta
from typing import Any

import msgspec

from pushcart.clock import Clock
from pushcart.domain.pages import may_be_own
from pushcart.errors import BadRequest, StoreUnavailable
from pushcart.store import Document, Store

log = logging.getLogger(__name__)

#: What a page we do not know and a referrer that is not kept are counted as; no path and no host reads like this.
OTHER = "other"

#: Different referrers and pages of the owner's kept for a day, and days kept in memory while the store is down.
MOST_HOSTS, MOST_OWN, MOST_DAYS = 100, 50, 7

#: The most days a report is about.
MOST_REPORTED = 366

#: Words in the User-Agent of what is no reader: crawlers, link previews, monitors, HTTP libraries. `cubot` is a phone.
_NO_READER = re.compile(
    r"(?<!cu)bot|crawl|spider|slurp|preview|headless|lighthouse|pagespeed|gtmetrix|monitor|pingdom|archiv|scan|validator"
    r"|facebookexternalhit|embedly|whatsapp|curl|wget|python|httpx|aiohttp|urllib|libwww|go-http-client|okhttp|java/"
    r"|axios|node-fetch|undici|postman|phantomjs|puppeteer|playwright|selenium|google-|-google|googleother",
    re.IGNORECASE,
)

#: `Sec-Purpose` and `Purpose` of a page that is fetched before anybody looks at it.
_AHEAD = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)

#: A host name of two labels or more. A last label of digits makes it an IPv4 address
#: (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_HOST = re.compile(r"([a-z0-9-]{1,63}\.)+(?!\d+\Z|0x[0-9a-f]*\Z)[a-z0-9-]{1,63}")
_LONGEST_HOST = 100


class _Day(msgspec.Struct):
    """What was counted on one day and is not stored yet."""

    views: int = 0
    pages: dict[str, int] = {}
    referrers: dict[str, int] = {}

    def add(self, views: int, pages: dict[str, int], referrers: dict[str, int]) -> None:
        self.views += views
        own = sum(map(may_be_own, self.pages))
        for page, count in pages.items():
            if page not in self.pages and may_be_own(page):
                page, own = (page, own + 1) if own < MOST_OWN else (OTHER, own)
            self.pages[page] = self.pages.get(page, 0) + count
        for host, count in referrers.items():
            kept = host if host in self.referrers or len(self.referrers) < MOST_HOSTS else OTHER
            self.referrers[kept] = self.referrers.get(kept, 0) + count


class Visits:
    """Counts page views. `pages` gives the paths of the shop's pages; a view of any other counts as `other`, but for
    what may be a page of the owner's own.

    What is counted is written after `every` seconds. No thread runs while there is nothing to write.
    """

    def __init__(self, store: Store, clock: Clock, pages: Callable[[], Collection[str]], every: float = 10.0) -> None:
        self._store = store
        self._clock = clock
        self._pages = pages
        self._every = every
        self._days: dict[str, _Day] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False

    def seen(self, page: str, referrer: str, user_agent: str, purpose: str = "") -> bool:
        """Counts one view; False, counting nothing, for a machine's and for a page that is only fetched ahead.

        `page` is a path such as `/products/mug/`, `referrer` the host or address the reader came from (may be empty),
        `purpose` the header `Sec-Purpose` or `Purpose`.
        """
        if not user_agent.strip() or _NO_READER.search(user_agent) or _AHEAD.search(purpose):
            return False
        known = page if page in self._pages() or may_be_own(page) else OTHER
        host = host_of(referrer)
        with self._lock:
            self._add(f"{self._clock():%Y-%m-%d}", _Day(1, {known: 1}, {host: 1} if host else {}))
            self._wake()
        return True

    def flush(self) -> bool:
        """Writes what was counted; False when the store did not take all of it: the rest is kept for the next time."""
        with self._writing:
            with self._lock:
                days, self._days = self._days, {}
            while days:
                day, counted = next(iter(days.items()))
                try:
                    self._merge(day, counted)
                except StoreUnavailable as error:
                    log.warning("page views wait for the store: %s", error.message)
                    with self._lock:
                        for day, counted in days.items():
                            self._add(day, counted)
                    return False
                del days[day]
        return True

    def close(self) -> None:
        """Writes what was counted and stops. Returns when that is done, or the store has not taken it."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        self.flush()

    def _add(self, day: str, counted: _Day) -> None:
        if day not in self._days:
            self._days[day] = _Day()
            for oldest in sorted(self._days)[:-MOST_DAYS]:
                del self._days[oldest]
        if day in self._days:
            self._days[day].add(counted.views, counted.pages, counted.referrers)

    def _wake(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = threading.Timer(self._every, self._flush_later)
            self._timer.daemon = True
            self._timer.start()

    def _flush_later(self) -> None:
        try:
            self.flush()
        finally:
            with self._lock:
                self._timer = None
                if self._days:
                    self._wake()

    def _merge(self, day: str, counted: _Day) -> None:
        """Adds to the day's document, which other processes write too."""
        while True:
            held = self._store.get("traffic", day)
            version = held["version"] if held else 0
            total = _Day(held["views"], held["pages"], held["referrers"]) if held else _Day()
            total.add(counted.views, counted.pages, counted.referrers)
            document: Document = {"id": day, "version": version + 1, **msgspec.to_builtins(total)}
            if self._store.replace("traffic", document, version) if held else self._store.insert("traffic", document):
                return


def host_of(referrer: str) -> str:
    """`www.example.org` of `https://www.example.org:443/page?x=y`; empty without a referrer.

    `other` for an address instead of a name, for a name within somebody's own network, and for what is no host.
    """
    text = referrer.strip().lower()
    if not text:
        return ""
    origin = re.split(r"[/?#\\]", text.partition("://")[2] or text, maxsplit=1)[0]
    host = re.sub(r"\.?(:\d*)?\Z", "", origin.rpartition("@")[2], count=1)
    return host if len(host) <= _LONGEST_HOST and _HOST.fullmatch(host) else OTHER


def report(store: Store, clock: Clock, days: int) -> dict[str, Any]:
    """The page views of the last `days` days (UTC), today included. `BadRequest` unless it is 1 to 366 of them.

    `{"views": in all, "days": [{"day", "views"}] with the oldest first and none left out, "pages": [[path, n]] and
    "referrers": [[host, n]] with the busiest first}`.
    """
    if not 1 <= days <= MOST_REPORTED:
        raise BadRequest(f"days is 1 to {MOST_REPORTED}.")
    today: date = clock().date()
    shown = []
    pages: dict[str, int] = {}
    referrers: dict[str, int] = {}
    for back in reversed(range(days)):
        day = f"{today - timedelta(days=back)}"
        held = store.get("traffic", day) or {"views": 0, "pages": {}, "referrers": {}}
        shown.append({"day": day, "views": held["views"]})
        for sums, counts in ((pages, held["pages"]), (referrers, held["referrers"])):
            for name, count in counts.items():
                sums[name] = sums.get(name, 0) + count
    return {
        "views": sum(day["views"] for day in shown),
        "days": shown,
        "pages": _busiest_first(pages),
        "referrers": _busiest_first(referrers),
    }


def _busiest_first(counts: dict[str, int]) -> list[list[Any]]:
    return [[name, count] for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]
