"""The pool and the sweep: everything due is taken on once, nothing starves, a stop is quick."""

from __future__ import annotations

import threading
import time

import pytest

from pushcart.clock import system_clock, to_instant
from pushcart.domain.event import InboxEvent
from pushcart.domain.order import Order
from pushcart.errors import StoreUnavailable
from pushcart.repositories import Inbox, Orders
from pushcart.services.work import Work
from pushcart.store import connect

PAST = "2026-01-01T00:00:00.000Z"


class Intake:
    """Remembers which events it was given; `hold` keeps it busy."""

    def __init__(self):
        self.applied: list[str] = []
        self.hold = threading.Event()
        self.hold.set()

    def apply(self, event_id):
        self.hold.wait(20)
        self.applied.append(event_id)


class Driver:
    """Remembers which orders it drove; those in `broken` fail each time, and nothing it does changes an order."""

    def __init__(self):
        self.driven: list[str] = []
        self.broken: set[str] = set()
        self.seconds = 0.0

    def drive(self, order_id):
        self.driven.append(order_id)
        time.sleep(self.seconds)
        if order_id in self.broken:
            raise StoreUnavailable("no")

    def stop(self):
        """The real one ends after the step in hand."""


@pytest.fixture
def parts(tmp_path):
    store = connect(f"sqlite:///{tmp_path}/shop.db")
    orders, inbox, intake, driver = Orders(store), Inbox(store), Intake(), Driver()
    work = Work(intake, driver, orders, inbox, system_clock, 2)
    yield work, orders, inbox, intake, driver
    intake.hold.set()
    work.close()
    store.close()


def add_orders(orders, count):
    for number in range(count):
        orders.add(Order(id=f"o-{number:03}", created_at=PAST, updated_at=PAST, due_at=PAST))


def add_events(inbox, count):
    for number in range(count):
        about = {"source": "s", "event_id": "1", "type": "t", "body": "{}"}
        inbox.add(InboxEvent(id=f"e-{number}", received_at=PAST, due_at=PAST, **about))


def test_a_sweep_takes_on_everything_due_once_however_small_its_batch(parts):
    work, orders, inbox, intake, driver = parts
    add_orders(orders, 25)
    add_events(inbox, 12)
    swept = work.sweep(batch=4, seconds=20)
    assert sorted(driver.driven) == [f"o-{number:03}" for number in range(25)]
    assert len(intake.applied) == len(set(intake.applied)) == 12
    assert (swept.orders, swept.events, swept.more) == (25, 12, False)


def test_orders_that_fail_each_time_do_not_keep_others_from_their_turn(parts):
    work, orders, _, _, driver = parts
    add_orders(orders, 6)
    driver.broken = {"o-000", "o-001", "o-002"}
    work.sweep(batch=3, seconds=20)
    assert sorted(driver.driven) == [f"o-{number:03}" for number in range(6)]


def test_events_that_hang_do_not_keep_orders_from_their_steps(parts):
    work, orders, inbox, intake, driver = parts
    add_orders(orders, 3)
    add_events(inbox, 10)
    intake.hold.clear()
    work.sweep(batch=50, seconds=0.5)
    assert len(driver.driven) == 3


def test_nothing_that_is_not_due_is_touched(parts):
    work, orders, _, _, driver = parts
    orders.add(Order(id="o-later", created_at=PAST, updated_at=PAST, due_at="2999-01-01T00:00:00.000Z"))
    orders.add(Order(id="o-never", created_at=PAST, updated_at=PAST))
    assert work.sweep(batch=10, seconds=5).orders == 0
    assert driver.driven == []


def test_a_stop_ends_a_sweep_at_once_and_takes_on_nothing_more(parts):
    work, orders, _, _, driver = parts
    add_orders(orders, 60)
    driver.seconds = 0.2
    sweep = threading.Thread(target=work.sweep, args=(50, 60))
    sweep.start()
    time.sleep(0.3)
    work.stop()
    sweep.join(2)
    assert not sweep.is_alive()
    ran = len(driver.driven)
    time.sleep(0.5)
    assert len(driver.driven) <= ran + 2
    assert ran < 10


def test_an_event_waiting_in_the_queue_is_not_queued_twice(parts):
    work, _, _, intake, _ = parts
    intake.hold.clear()
    for number in range(2):
        work.event(f"busy-{number}")
    time.sleep(0.1)
    futures = {work.event("same") for _ in range(5)}
    intake.hold.set()
    for future in futures:
        future.result(5)
    assert len(futures) == 1
    assert intake.applied.count("same") == 1


def test_due_means_until_this_very_moment(parts):
    _, orders, _, _, _ = parts
    now = to_instant(system_clock())
    orders.add(Order(id="o-now", created_at=PAST, updated_at=PAST, due_at=now))
    assert orders.due(now, 10) == [(now, "o-now")]
