"""How long webhooks take to acknowledge: counted for nothing, kept for good."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from pushcart.services.metrics import acktimes
from pushcart.services.metrics.acktimes import AckTimes
from pushcart.services.metrics.exposition import Metrics
from pushcart.services.metrics.figures import StoreFigures
from support.races import at_once
from support.scrapes import Moves, Scrape, Troubled

NEVER = 3600.0  # seconds: a flush in the background would come after the test


@pytest.fixture
def clock():
    return Moves()


def acks(store, function="stripe-webhook"):
    return acktimes.read(store.get("measures", acktimes.id_of(function)))


def test_what_a_webhook_took_reaches_the_scrape_with_its_bounds(store, clock):
    times = AckTimes(store, "stripe-webhook", NEVER)
    for seconds in (0.001, 0.005, 0.0051, 3, 60):
        times.seen(seconds)
    times.close()
    found = Scrape(Metrics(StoreFigures(store, clock), clock).text().decode())
    of = {"function": "stripe-webhook"}
    name = "pushcart_ack_duration_seconds"
    below = {"0.002": 1, "0.005": 2, "0.01": 3, "2.0": 3, "5.0": 4, "10.0": 4, "+Inf": 5}
    assert {le: found.value(f"{name}_bucket", le=le, **of) for le in below} == below
    assert found.value(f"{name}_count", **of) == 5
    assert found.value(f"{name}_sum", **of) == pytest.approx(63.0111)
    assert found.matching(f"{name}_count", function="autopay-webhook") == []


def test_counting_asks_the_store_for_nothing_until_the_time_has_come(store):
    counted = Troubled(store)
    times = AckTimes(counted, "stripe-webhook", NEVER)
    for _ in range(1000):
        times.seen(0.01)
    assert counted.asked == 0
    times.close()
    assert counted.asked == 2


def test_it_is_written_by_itself_after_a_while(store):
    times = AckTimes(store, "stripe-webhook", every=0.01)
    times.seen(0.01)
    deadline = time.monotonic() + 10
    while acks(store) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    times.seen(0.01)
    times.close()
    assert sum(acks(store).counts) == 2


def test_processes_of_one_function_add_up_and_lose_nothing(store):
    many = [AckTimes(store, "stripe-webhook", NEVER) for _ in range(6)]

    def work(times):
        for _ in range(50):
            times.seen(0.5)
            times.flush()

    at_once([lambda times=times: work(times) for times in many])
    for times in many:
        times.close()
    assert sum(acks(store).counts) == 300
    assert acks(store).seconds == pytest.approx(150)


def test_while_the_store_is_down_the_counts_wait_for_it(store):
    troubled = Troubled(store)
    times = AckTimes(troubled, "stripe-webhook", NEVER)
    troubled.down = True
    times.seen(0.01)
    assert times.flush() is False
    times.seen(0.01)
    troubled.down = False
    assert times.flush() is True
    times.close()
    assert sum(acks(store).counts) == 2


def test_only_an_acknowledgement_counts(store):
    times = AckTimes(store, "stripe-webhook", NEVER)
    for status in (200, 400, 503, 202):
        assert times.timed(lambda event, context: {"statusCode": event}, status, None) == {"statusCode": status}
    times.close()
    assert sum(acks(store).counts) == 2


def test_times_kept_under_other_bounds_are_not_mixed_with_todays(store):
    assert store.insert("measures", {"id": acktimes.id_of("stripe-webhook"), "version": 1, "counts": [7], "seconds": 1})
    assert acks(store) is None
    times = AckTimes(store, "stripe-webhook", NEVER)
    times.seen(0.01)
    times.close()
    assert sum(acks(store).counts) == 1


def test_counting_costs_an_acknowledgement_some_microseconds():
    times = AckTimes(SimpleNamespace(get=lambda *_: None, insert=lambda *_: True), "stripe-webhook", NEVER)
    best = min(timed(times) for _ in range(5))
    times.close()
    assert best < 50e-6, f"{best * 1e6:.1f} microseconds each"


def timed(times, rounds=2000):
    began = time.perf_counter()
    for _ in range(rounds):
        times.seen(0.004)
    return (time.perf_counter() - began) / rounds
