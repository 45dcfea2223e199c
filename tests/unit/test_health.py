"""The health of what order-store calls: since when it fails, written at changes and never in the way."""

from __future__ import annotations

from functools import partial

import pytest

from pushcart.errors import (
    FunctionFailed,
    ProviderBusy,
    ProviderRefused,
    ProviderUnavailable,
    StoreUnavailable,
)
from pushcart.services.alerts.health import Health, ailing
from support.alerts import NOON, SetClock
from support.races import at_once


class Counting:
    """Counts what it is asked; `away` refuses."""

    def __init__(self, store):
        self._store = store
        self.reads = self.writes = 0
        self.away = False

    def __getattr__(self, name):
        def call(*given):
            self.reads += name == "get"
            self.writes += name in ("insert", "replace")
            if self.away:
                raise StoreUnavailable("gone")
            return getattr(self._store, name)(*given)

        return call


@pytest.fixture
def clock():
    return SetClock()


@pytest.fixture
def counting(store):
    return Counting(store)


@pytest.fixture
def health(counting, clock):
    return Health(counting, clock)


def failing(store):
    return ailing(store, ["Stripe", "invite-link", "never-called"])


def test_what_works_costs_one_read_and_no_write(health, counting):
    for _ in range(1000):
        health.well("Stripe")
    assert (counting.reads, counting.writes) == (1, 0)


def test_what_fails_is_written_at_once_and_then_once_a_minute(health, counting, store, clock):
    for _ in range(120):
        health.failed("Stripe", "Stripe: could not be reached")
        clock.pass_(1)
    assert counting.writes == 2
    [found] = failing(store)
    assert (found.name, found.failing_since, found.failures) == ("Stripe", NOON, 61)


def test_the_first_success_ends_it_and_is_written_once(health, counting, store):
    health.failed("Stripe", "no")
    for _ in range(10):
        health.well("Stripe")
    assert failing(store) == []
    assert counting.writes == 2


def test_another_process_goes_on_where_this_one_ended(health, store, clock):
    health.failed("Stripe", "no")
    clock.pass_(600)
    later = Health(store, clock)
    later.failed("Stripe", "still no")
    assert [(one.failing_since, one.error) for one in failing(store)] == [(NOON, "still no")]
    Health(store, clock).well("Stripe")
    assert failing(store) == []


def test_many_threads_make_one_failure(health, store):
    at_once([partial(health.failed, "Stripe", "no") for _ in range(16)])
    assert [one.failing_since for one in failing(store)] == [NOON]


def test_a_store_that_is_away_costs_no_call_more_than_one_wait_a_minute(health, counting, clock, store):
    counting.away = True
    for _ in range(10):
        health.failed("Stripe", "no")
        health.well("invite-link")
    assert counting.reads == 1
    counting.away = False
    clock.pass_(61)
    health.failed("Stripe", "no")
    assert [one.failures for one in failing(store)] == [11]


@pytest.mark.parametrize(
    ("error", "fails"),
    [
        (None, False),
        (ProviderUnavailable("Stripe", "down", status=500), True),
        (ProviderRefused("Stripe", "no such key", status=401), True),
        (ProviderRefused("Stripe", "no such session", status=404), False),
        (ProviderBusy("Stripe", "slowly", status=429), False),
        (FunctionFailed("invite-link", "is not answering", status=502), True),
        (FunctionFailed("invite-link", "Discourse: down", status=503, answered=True), True),
        (FunctionFailed("invite-link", "no such group", status=422, answered=True, permanent=True), False),
        (FunctionFailed("invite-link", "slowly", status=429, answered=True, busy=True), False),
    ],
)
def test_only_what_is_down_fails_and_not_what_refuses_one_order(health, store, error, fails):
    health.called("Stripe", error, 0.1)
    assert bool(failing(store)) is fails


def test_a_rate_limit_neither_heals_nor_hurts(health, store):
    health.failed("Stripe", "down")
    health.called("Stripe", ProviderBusy("Stripe", "slowly", status=429), 0.1)
    assert [one.failing_since for one in failing(store)] == [NOON]


def test_what_is_kept_of_an_error_names_nobody(health, store):
    health.failed("Stripe", "No such customer ada@example.com with sk_test_abc")
    assert [one.error for one in failing(store)] == ["No such customer (address) with (secret)"]
