"""Page views: what counts as one, what is kept of it, and that nothing is kept of the reader."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from pushcart.errors import BadRequest, StoreUnavailable
from pushcart.services.traffic import MOST_DAYS, MOST_HOSTS, MOST_OWN, OTHER, Visits, host_of, report
from pushcart.store import connect

PHONE = "Mozilla/5.0 (Linux; Android 14; CUBOT P80) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36"
PAGES = {"/", "/cart/", "/products/mug/"}
NEVER = 3600.0  # seconds: a flush in the background would come after the test


class Days:
    """A clock that a test moves."""

    def __init__(self):
        self.now = datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)

    def __call__(self):
        return self.now

    def next(self, days=1):
        self.now += timedelta(days=days)


class Troubled:
    """A store that can be down, and that can do something just after a document was read."""

    def __init__(self, inner):
        self._inner = inner
        self.down = False
        self.after_get = None
        self.wrote = threading.Event()

    def get(self, collection, id):
        found = self._ask(self._inner.get, collection, id)
        if self.after_get:
            act, self.after_get = self.after_get, None
            act()
        return found

    def insert(self, collection, document):
        done = self._ask(self._inner.insert, collection, document)
        self.wrote.set()
        return done

    def replace(self, collection, document, version):
        return self._ask(self._inner.replace, collection, document, version)

    def _ask(self, verb, *args):
        if self.down:
            raise StoreUnavailable("The store is down.")
        return verb(*args)


class Blind(Troubled):
    """The same, but a write looks at no version: what the tests of two writers would see without that."""

    def insert(self, collection, document):
        return super().insert(collection, document) or self.replace(collection, document, 0)

    def replace(self, collection, document, version):
        self._inner.delete(collection, document["id"])
        return self._inner.insert(collection, document)


@pytest.fixture
def database(tmp_path):
    opened = connect(f"sqlite:///{tmp_path}/shop.db")
    yield opened
    opened.close()


@pytest.fixture
def store(database):
    return Troubled(database)


@pytest.fixture
def clock():
    return Days()


@pytest.fixture
def visits(store, clock):
    return Visits(store, clock, lambda: PAGES, NEVER)


def kept(store, day="2026-11-21"):
    return store.get("traffic", day)


def test_a_day_is_one_document_with_its_pages_and_referrers(visits, store):
    for page, referrer in [("/", ""), ("/", "www.google.com"), ("/products/mug/", "https://example.org/a?b=c")]:
        assert visits.seen(page, referrer, PHONE)
    assert kept(store) is None  # nothing is written yet
    assert visits.flush()
    assert visits.seen("/", "example.org", PHONE)
    assert visits.flush()
    assert kept(store) == {
        "id": "2026-11-21",
        "version": 2,
        "views": 4,
        "pages": {"/": 3, "/products/mug/": 1},
        "referrers": {"www.google.com": 1, "example.org": 2},
    }


def test_a_view_belongs_to_the_day_it_was_seen_on_however_late_it_is_written(visits, store, clock):
    visits.seen("/", "", PHONE)
    clock.next()
    visits.seen("/cart/", "", PHONE)
    visits.flush()
    assert kept(store)["pages"] == {"/": 1}
    assert kept(store, "2026-11-22")["pages"] == {"/cart/": 1}


@pytest.mark.parametrize(
    "user_agent",
    [
        "",
        "  ",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; Google-InspectionTool/1.0)",
        "Mozilla/5.0 (compatible; Baiduspider/2.0)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
        "Mozilla/5.0 AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36 Chrome-Lighthouse",
        "facebookexternalhit/1.1",
        "WhatsApp/2.23.20.0 A",
        "curl/8.5.0",
        "python-requests/2.32.5",
        "Go-http-client/2.0",
        "UptimeRobot/2.0",
    ],
)
def test_a_machine_is_not_counted(visits, store, user_agent):
    assert not visits.seen("/", "", user_agent)
    visits.flush()
    assert kept(store) is None


@pytest.mark.parametrize(
    "user_agent",
    [
        PHONE,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Version/19.1 Safari/604.1",
        "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) [FBAN/FBIOS;FBAV/530.0;FBDV/iPhone15,3]",
    ],
)
def test_a_reader_is_counted(visits, user_agent):
    assert visits.seen("/", "", user_agent)


@pytest.mark.parametrize("purpose", ["prefetch", "prefetch;prerender", "Preview"])
def test_a_page_that_is_only_fetched_ahead_is_not_counted(visits, purpose):
    assert not visits.seen("/", "", PHONE, purpose)


def test_a_page_we_do_not_have_is_counted_without_its_path(visits, store):
    strange = ("/wp-login.php", "/?email=ada@example.com", "x" * 10_000, "", "/a/b/", "//", "/About/", f"/{'x' * 41}/")
    for page in strange:
        assert visits.seen(page, "", PHONE)
    visits.flush()
    assert kept(store)["pages"] == {OTHER: len(strange)}


def test_a_page_that_the_owner_wrote_is_counted_by_its_path(visits, store):
    visits.seen("/our-kiln/", "", PHONE)
    visits.flush()
    assert kept(store)["pages"] == {"/our-kiln/": 1}


def test_a_day_keeps_a_limited_number_of_pages_that_nobody_knows_of(visits, store):
    for part in range(3):
        visits.seen("/", "", PHONE)
        for number in range(MOST_OWN):
            visits.seen(f"/made-up-{part}-{number}/", "", PHONE)
        visits.flush()
    pages = kept(store)["pages"]
    assert len(pages) == MOST_OWN + 2
    assert (pages["/"], pages[OTHER]) == (3, 2 * MOST_OWN)


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("", ""),
        ("  ", ""),
        ("www.google.com", "www.google.com"),
        ("https://Example.ORG.:8443/a/b?q=me@home#x", "example.org"),
        ("//example.org", OTHER),
        ("https://user:password@example.org", "example.org"),
        ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ("http://203.0.113.7/", OTHER),
        ("203.0.113.7:80", OTHER),
        ("0x7f.1", OTHER),
        ("host.0xcb007107", OTHER),
        ("3405803783", OTHER),
        ("[2001:db8::7]:443", OTHER),
        ("2001:db8::7", OTHER),
        ("::ffff:203.0.113.7", OTHER),
        ("jans-laptop", OTHER),
        ("exa mple.org", OTHER),
        ("żółw.pl", OTHER),
        ("<script>.org", OTHER),
        (f"{'a' * 60}.{'b' * 60}.org", OTHER),
        ("example..org", OTHER),
    ],
)
def test_of_a_referrer_only_the_name_of_its_host_is_left(referrer, host):
    assert host_of(referrer) == host


def test_a_day_keeps_a_limited_number_of_referrers_in_memory_and_in_the_store(visits, store):
    for part in range(3):
        for number in range(MOST_HOSTS):
            visits.seen("/", f"spam-{part}-{number}.example", PHONE)
        visits.flush()
    referrers = kept(store)["referrers"]
    assert len(referrers) == MOST_HOSTS + 1
    assert referrers[OTHER] == 2 * MOST_HOSTS
    assert sum(referrers.values()) == kept(store)["views"]


def test_nothing_of_the_reader_is_among_the_bytes_that_are_stored(visits, database, tmp_path):
    visits.seen("/products/mug/?who=ada", "https://ada:geheim@203.0.113.7:8443/inbox?to=ada@example.com", PHONE)
    visits.seen("/", "https://mail.example.net/u/ada?kennung=geheim", PHONE)
    visits.close()
    database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"mail.example.net" in stored
    for trace in (b"Mozilla", b"CUBOT", b"Android", b"203.0.113", b"ada", b"geheim", b"kennung", b"8443"):
        assert trace not in stored, trace


class TestWriting:
    def test_it_happens_by_itself_and_no_thread_is_left_at_rest(self, store, clock):
        before = set(threading.enumerate())
        visits = Visits(store, clock, lambda: PAGES, every=0.01)
        visits.seen("/", "", PHONE)
        assert store.wrote.wait(10)
        for thread in set(threading.enumerate()) - before:
            thread.join(10)
        assert set(threading.enumerate()) <= before
        assert kept(store)["views"] == 1
        visits.close()

    def test_a_store_that_is_down_disturbs_nobody_and_loses_nothing(self, visits, store, caplog):
        store.down = True
        assert visits.seen("/", "example.org", PHONE)
        assert not visits.flush()
        assert "page views wait for the store" in caplog.text
        assert visits.seen("/", "example.org", PHONE)
        store.down = False
        assert visits.flush()
        assert (kept(store)["views"], kept(store)["referrers"]) == (2, {"example.org": 2})

    def test_it_is_tried_again_without_a_further_view(self, store, clock):
        store.down = True
        tried = threading.Event()

        class Recovering(Visits):
            def flush(self):
                done = super().flush()
                store.down = False
                tried.set()
                return done

        visits = Recovering(store, clock, lambda: PAGES, every=0.01)
        visits.seen("/", "", PHONE)
        assert tried.wait(10)
        assert store.wrote.wait(10)
        visits.close()
        assert kept(store)["views"] == 1

    def test_an_outage_of_many_days_keeps_the_last_ones(self, visits, store, clock):
        store.down = True
        for _ in range(MOST_DAYS + 2):
            visits.seen("/", "", PHONE)
            visits.flush()
            clock.next()
        store.down = False
        visits.flush()
        days = [day for day in range(21, 31) if kept(store, f"2026-11-{day}")]
        assert days == [23, 24, 25, 26, 27, 28, 29]

    def test_closing_writes_what_is_left(self, visits, store):
        visits.seen("/", "", PHONE)
        visits.close()
        assert kept(store)["views"] == 1

    @pytest.mark.parametrize(("kind", "views"), [(Troubled, 3), (Blind, 2)])
    def test_two_processes_that_write_at_once_both_count(self, database, clock, kind, views):
        """One writes just after the other has read; the control writes whatever the version and loses a view."""
        store = kind(database)
        first, second = (Visits(store, clock, lambda: PAGES, NEVER) for _ in range(2))
        first.seen("/", "", PHONE)
        first.flush()
        first.seen("/", "", PHONE)
        second.seen("/", "", PHONE)
        store.after_get = second.flush
        first.flush()
        assert kept(store)["views"] == views

    def test_the_first_view_of_a_day_may_come_to_two_processes(self, store, clock):
        first, second = (Visits(store, clock, lambda: PAGES, NEVER) for _ in range(2))
        first.seen("/", "", PHONE)
        second.seen("/", "", PHONE)
        store.after_get = second.flush
        first.flush()
        assert kept(store)["views"] == 2

    def test_many_threads_count_every_view_while_it_is_written(self, visits, store):
        def look():
            for _ in range(200):
                visits.seen("/", "example.org", PHONE)

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            visits.flush()
        visits.close()
        assert kept(store)["views"] == kept(store)["pages"]["/"] == kept(store)["referrers"]["example.org"] == 800


class TestReport:
    def test_every_day_is_there_and_the_busiest_come_first(self, visits, store, clock):
        for page, referrer in [("/", "a.example"), ("/", ""), ("/cart/", "b.example")]:
            visits.seen(page, referrer, PHONE)
        visits.flush()
        clock.next(2)
        for page, referrer in [("/products/mug/", "b.example"), ("/cart/", "c.example")]:
            visits.seen(page, referrer, PHONE)
        visits.flush()
        assert report(store, clock, 3) == {
            "views": 5,
            "days": [
                {"day": "2026-11-21", "views": 3},
                {"day": "2026-11-22", "views": 0},
                {"day": "2026-11-23", "views": 2},
            ],
            "pages": [["/", 2], ["/cart/", 2], ["/products/mug/", 1]],
            "referrers": [["b.example", 2], ["a.example", 1], ["c.example", 1]],
        }
        assert report(store, clock, 2)["views"] == 2

    def test_a_shop_without_a_view_has_an_empty_report(self, store, clock):
        found = report(store, clock, 366)
        assert (found["views"], found["pages"], found["referrers"]) == (0, [], [])
        assert len(found["days"]) == 366
        assert found["days"][0]["day"] == "2025-11-21"

    @pytest.mark.parametrize("days", [0, -1, 367, 10**9])
    def test_days_without_a_sense_are_refused(self, store, clock, days):
        with pytest.raises(BadRequest, match="1 to 366"):
            report(store, clock, days)
