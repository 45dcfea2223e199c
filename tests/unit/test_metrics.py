"""The figures: what is counted, what the store adds, and who may read them."""

from __future__ import annotations

import re
import threading
import time
from types import SimpleNamespace

import pytest

from pushcart.clock import later, to_instant
from pushcart.config import Config, Reads
from pushcart.domain import payment
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Order
from pushcart.errors import NotFound
from pushcart.repositories import Inbox, Orders
from pushcart.services.metrics import exposition as metrics
from pushcart.services.metrics.exposition import METRICS, Metrics
from pushcart.services.metrics.figures import MOST, StoreFigures
from pushcart.services.work import Work
from support.races import at_once
from support.scrapes import Moves, Scrape, Troubled, lived_in, names
from support.shop import NOW

TOKEN = "t" * 32


@pytest.fixture
def clock():
    return Moves()


def scrape(of):
    return Scrape(of.text().decode())


def test_a_scrape_shows_every_metric_with_the_type_labels_and_help_that_it_is_declared_with(store, clock):
    found = scrape(lived_in(store, clock))
    assert {sample.name for sample in found.samples} == names()
    for metric in METRICS.values():
        family = found.families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.about)
        assert {name for sample in family.samples for name in sample.labels} - {"le"} == set(metric.labels)


def test_every_name_follows_prometheus_rules():
    for metric in METRICS.values():
        assert re.fullmatch(r"pushcart_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.name.endswith("_seconds") or metric.kind != "histogram"
        assert not re.search(r"_(ms|minutes|count|sum|bucket|kb|gauge)\b", metric.name)
        assert metric.about.endswith(".")


def test_no_label_names_an_order(store, clock):
    values = {value for sample in scrape(lived_in(store, clock)).samples for value in sample.labels.values()}
    assert not {value for value in values if value.startswith(("o-", "stripe:", "evt"))}


def test_orders_are_counted_by_both_statuses(store, clock):
    orders = Orders(store)
    for number, status in enumerate(("paid", "paid", "refunded")):
        order = Order(id=f"o-{number}", created_at=NOW, updated_at=NOW, payment_status=payment.PaymentStatus(status))
        assert orders.add(order)
    found = scrape(Metrics(StoreFigures(store, clock), clock))
    assert found.value("pushcart_orders_by_payment_status", payment_status="paid") == 2
    assert found.value("pushcart_orders_by_payment_status", payment_status="refunded") == 1
    assert found.value("pushcart_orders_by_payment_status", payment_status="unpaid") == 0
    assert found.value("pushcart_orders_by_fulfilment_status", fulfilment_status="none") == 3


def test_the_oldest_event_that_waits_ages_and_none_is_no_age(store, clock):
    inbox = Inbox(store)
    figures = Metrics(StoreFigures(store, clock, keep=0), clock)
    name = "pushcart_inbox_oldest_pending_age_seconds"
    assert scrape(figures).value(name) == 0
    for number, (age, status) in enumerate([(500, "applied"), (90, "pending"), (30, "pending"), (900, "dead")]):
        received = later(to_instant(clock()), -age)
        about = {"source": "s", "event_id": "1", "type": "t", "body": "{}"}
        assert inbox.add(InboxEvent(id=f"e-{number}", received_at=received, status=EventStatus(status), **about))
    assert scrape(figures).value(name) == 90
    clock.advance(10)
    found = scrape(figures)
    assert found.value(name) == 100
    assert found.value("pushcart_inbox_events", status="pending") == 2
    assert found.value("pushcart_inbox_events", status="dead") == 1


def test_what_is_due_is_counted_no_further_than_it_says_something(store, clock, monkeypatch):
    orders = Orders(store)
    for number in range(6):
        orders.add(Order(id=f"o-{number}", created_at=NOW, updated_at=NOW, due_at=NOW if number else None))
    figures = Metrics(StoreFigures(store, clock, keep=0), clock)
    assert scrape(figures).value("pushcart_queue_due", queue="orders") == 5
    assert scrape(figures).value("pushcart_queue_due", queue="events") == 0
    monkeypatch.setattr("pushcart.services.metrics.figures.MOST", 3)
    assert scrape(figures).value("pushcart_queue_due", queue="orders") == 3
    assert MOST == 1_000


def test_one_look_at_the_store_is_good_for_a_while_but_ages_go_on(store, clock):
    counted = Troubled(store)
    figures = Metrics(StoreFigures(counted, clock, keep=15, now=clock.seconds), clock)
    lived_in(store, clock)
    first = scrape(figures)
    asked = counted.asked
    clock.advance(14)
    second = scrape(figures)
    assert counted.asked == asked
    age = "pushcart_catch_up_heartbeat_age_seconds"
    assert second.value(age) == first.value(age) + 14
    clock.advance(1)
    scrape(figures)
    assert counted.asked == 2 * asked


def test_ten_scrapes_at_once_are_one_look(store, clock):
    counted = Troubled(store)
    figures = StoreFigures(counted, clock)
    figures.read()
    once, counted.asked = counted.asked, 0
    again = StoreFigures(counted, clock)
    at_once([again.read] * 10)
    assert counted.asked == once


def test_without_the_store_what_the_process_knows_is_still_there(store, clock):
    troubled = Troubled(store)
    figures = Metrics(StoreFigures(troubled, clock, keep=0), clock)
    figures.step_ended("email", "done", 0.1)
    troubled.down = True
    found = scrape(figures)
    assert found.value("pushcart_store_up") == 0
    assert found.value("pushcart_steps_total", kind="email", outcome="done") == 1
    assert found.matching("pushcart_orders_by_payment_status") == []
    troubled.down = False
    assert scrape(figures).value("pushcart_store_up") == 1


def test_a_store_that_is_away_is_not_asked_at_each_scrape(store, clock):
    troubled = Troubled(store)
    troubled.down = True
    figures = StoreFigures(troubled, clock, keep=15, now=clock.seconds)
    assert figures.read() is None
    asked = troubled.asked
    assert figures.read() is None
    assert troubled.asked == asked


def test_a_catch_up_that_never_ran_has_no_age(store, clock):
    assert scrape(Metrics(StoreFigures(store, clock), clock)).matching("pushcart_catch_up_heartbeat_age_seconds") == []


def test_series_begin_at_nought_so_that_the_first_failure_shows_as_an_increase(store, clock):
    found = scrape(Metrics(StoreFigures(store, clock), clock))
    assert found.value("pushcart_steps_total", kind="invite", outcome="dead") == 0
    assert found.value("pushcart_calls_total", target="Stripe", outcome="failed") == 0
    assert found.value("pushcart_calls_total", target="email-dispatch", outcome="failed") == 0
    assert found.value("pushcart_incidents_open", level="critical") == 0


def test_calls_are_told_apart_by_how_they_ended(store, clock):
    found = scrape(lived_in(store, clock))
    ends = {"ok": 0, "busy": 1, "refused": 1, "failed": 1}
    assert {end: found.value("pushcart_calls_total", target="Stripe", outcome=end) for end in ends} == ends
    assert found.value("pushcart_calls_total", target="email-dispatch", outcome="refused") == 1
    assert found.value("pushcart_call_duration_seconds_count", target="Stripe") == 3
    assert found.value("pushcart_call_duration_seconds_bucket", target="Stripe", le="10.0") == 2


def test_the_jobs_in_hand_are_counted_by_pool(store, clock):
    go = threading.Event()
    driver = SimpleNamespace(drive=lambda id: go.wait(20) and False, stop=go.set)
    work = Work(None, driver, Orders(store), Inbox(store), clock, 1)
    jobs = [work.order(f"o-{number}") for number in range(3)]
    while not jobs[0].running():
        time.sleep(0.001)
    figures = Metrics(SimpleNamespace(read=lambda: None), clock)
    figures.watch(work)
    deadline = time.monotonic() + 10
    while (found := scrape(figures)).value("pushcart_jobs", pool="orders", state="running") != 1:
        assert time.monotonic() < deadline
    assert found.value("pushcart_jobs", pool="orders", state="waiting") == 2
    assert found.value("pushcart_jobs", pool="events", state="running") == 0
    work.close()
    assert scrape(figures).value("pushcart_jobs", pool="orders", state="running") == 0


# Who may read them.


def answer(tmp_path, secret, authorization=None):
    if secret is not None:
        (tmp_path / "metrics-token").write_text(secret)
    config = Config(Reads(may_need=("metrics-token",)), {"secret_mount_path": str(tmp_path)})
    headers = {} if authorization is None else {"Authorization": authorization}
    empty = Metrics(SimpleNamespace(read=lambda: None), Moves())
    return empty.answer(SimpleNamespace(headers=headers), config)


@pytest.mark.parametrize("authorization", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
def test_whoever_shows_the_token_reads_the_figures(tmp_path, authorization):
    told = answer(tmp_path, f"{TOKEN}\n", authorization)
    assert told["statusCode"] == 200
    assert told["headers"]["Content-Type"].startswith("text/plain; version=0.0.4")
    assert b"pushcart_build_info" in told["body"]


def test_during_a_rotation_both_tokens_fit(tmp_path):
    other = "o" * 32
    assert answer(tmp_path, f"{other}\n{TOKEN}\n", f"Bearer {TOKEN}")["statusCode"] == 200
    assert answer(tmp_path, f"{other}\n{TOKEN}\n", f"Bearer {other}")["statusCode"] == 200


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ä"],
)
def test_nobody_else_does(tmp_path, authorization):
    with pytest.raises(metrics.NoToken) as refused:
        answer(tmp_path, TOKEN, authorization)
    assert refused.value.http_status == 401
    assert refused.value.headers() == {"WWW-Authenticate": "Bearer"}
    assert TOKEN not in refused.value.message


@pytest.mark.parametrize("secret", [None, "unused\n", ""])
def test_without_the_secret_there_is_nothing_even_for_whoever_guesses_what_it_says(tmp_path, secret):
    for authorization in (None, "Bearer unused", "Bearer "):
        with pytest.raises(NotFound):
            answer(tmp_path, secret, authorization)
