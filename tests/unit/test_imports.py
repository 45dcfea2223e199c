"""What each function imports: on a VPS with 1 GB, every package counts in each process that loads it."""

from __future__ import annotations

from functools import cache

import pytest

from bench.probing import probe
from bench.surroundings import FUNCTIONS, YARDSTICK

#: Packages worth watching: no function loads one of them that is not in its row below.
WATCHED = frozenset(
    "stripe sqlalchemy psycopg pymongo bson sendgrid python_http_client requests urllib3 babel cryptography yaml "
    "aiosmtpd rich hypothesis pytest playwright local prometheus_client apprise".split()
)

STORES = {
    "sqlite": ("", {"sqlalchemy"}),
    "postgresql": ("postgresql://shop:secret@127.0.0.1:1/shop", {"sqlalchemy", "psycopg"}),
    # pymongo takes certificates apart with it, for connections to a server that demands them.
    "mongodb": ("mongodb://127.0.0.1:1/shop", {"pymongo", "bson", "cryptography"}),
}

CALLS_OTHERS = {"requests", "urllib3"}

#: Besides the packages of the store's kind.
WITH_STORE = {
    "stripe-webhook": {"stripe", *CALLS_OTHERS},
    "order-store": {"stripe", "yaml", "prometheus_client", *CALLS_OTHERS},
    "mailing-list": {"yaml", *CALLS_OTHERS},
    "catch-up": {"stripe", "yaml", *CALLS_OTHERS},
    "printful-webhook": CALLS_OTHERS,
    "alert": {"yaml", *CALLS_OTHERS},
    "checkout": {"stripe", "yaml", *CALLS_OTHERS},
    "autopay-webhook": CALLS_OTHERS,
}
WITHOUT_STORE = {
    "invite-link": {"yaml", *CALLS_OTHERS},
    "printful-order": {"yaml", *CALLS_OTHERS},
    # python_http_client and cryptography come with sendgrid's own package.
    "email-dispatch": {"sendgrid", "python_http_client", "cryptography", "babel", "yaml"},
}

#: Processor time until a function listens, as a multiple of what the template alone takes.
CEILING = 5


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Starts a function in a fresh process; gives the watched packages that it loaded, and its processor time."""

    @cache
    def start(function: str, store_url: str = "", **stack):
        report = probe(tmp_path_factory.mktemp(function), function, store_url, **stack)
        roots = {name.partition(".")[0] for name in report["modules"]}
        assert "flask" in roots, "the probe saw the template itself"
        return roots & WATCHED, report["cpu_seconds"]

    return start


def test_every_function_is_in_one_of_the_tables():
    assert sorted(FUNCTIONS) == sorted([*WITH_STORE, *WITHOUT_STORE])


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("function", WITH_STORE)
def test_a_function_with_a_store_loads_the_driver_of_this_store_and_no_other(started, function, store):
    url, driver = STORES[store]
    assert started(function, url)[0] == WITH_STORE[function] | driver


@pytest.mark.parametrize("function", WITHOUT_STORE)
def test_a_function_without_a_store_loads_no_database_driver(started, function):
    assert started(function)[0] == WITHOUT_STORE[function]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_listens_within_a_few_times_what_the_template_alone_takes(started, function):
    bare = started("constant", stack_file=YARDSTICK)[1]
    assert started(function)[1] < CEILING * bare
