"""Stripe sends an event three times at once, and two events of one payment together: one order, each effect once.

Over HTTP at the webhook, and on each database with order-stores that are made to meet at the worst moment. Each race
comes with a control, where the guard is off and the same meeting does the damage.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec
import pytest

from pushcart.domain.order import Order
from pushcart.repositories import Orders
from pushcart.store import Store, connect
from support.customers import WHEEL, Customer
from support.databases import DATABASES, fresh
from support.processes import Clock, Functions, Process, Provider, Purchase
from support.races import at_once

THREADS, TIMES = 16, 50
ONCE = {"invitations": 1, "purchases": 1, "sequences": 1}


# Over HTTP


@pytest.fixture
def held_back(shop, customer) -> Iterator[Customer]:
    """A buyer whose events the sandbox keeps to itself."""
    shop.sandbox.stripe.autosend = False
    yield customer
    shop.sandbox.stripe.autosend = True


def post(post_event, shop, *events: str) -> set[int]:
    """Posts every event fifty times in all, on sixteen threads; the statuses that came back."""
    signed = [shop.sandbox.stripe.signed(event) for event in events]
    jobs = [lambda one=one: post_event(*one).status_code for one in signed * (TIMES // len(signed))]
    return set(at_once(jobs, THREADS))


def delivered_once(customer: Customer) -> None:
    effects = customer.effects()
    assert {name: effects[name] for name in ONCE} == ONCE
    assert len(effects["buyer mails"]) == len(set(effects["buyer mails"]))
    assert len(effects["owner mails"]) == 1


def of(customer: Customer, kind: str) -> str:
    """The id of the buyer's one event of this type."""
    stripe = customer.shop.sandbox.stripe
    [event] = [event for event in customer.events if stripe.find("event", event)["type"] == kind]
    return event


def test_the_same_event_fifty_times_on_sixteen_threads_is_one_order_with_one_of_each_effect(
    shop, held_back, post_event
):
    held_back.buy(WHEEL)
    assert post(post_event, shop, of(held_back, "checkout.session.completed")) == {200}
    held_back.wait(payment="paid", fulfilment="fulfilled")
    shop.catch_up()
    delivered_once(held_back)
    assert len(held_back.effects()["buyer mails"]) == 2


def test_completed_and_paid_at_the_same_time_are_one_order_with_one_of_each_effect(shop, held_back, post_event):
    session = held_back.buy(WHEEL, delayed=True)
    held_back.note(shop.sandbox.stripe.settle(session["id"]))
    twins = [of(held_back, f"checkout.session.{end}") for end in ("completed", "async_payment_succeeded")]
    assert post(post_event, shop, *twins) == {200}
    held_back.wait(payment="paid", fulfilment="fulfilled")
    shop.catch_up()
    delivered_once(held_back)


def test_a_purchase_and_its_refunds_at_the_same_time_are_one_order_with_one_mail_for_each_refund(
    shop, held_back, post_event
):
    session = held_back.buy(WHEEL)
    held_back.note(shop.sandbox.stripe.refund(session["id"], 1000))
    kinds = ("checkout.session.completed", "charge.refunded", "refund.created")
    assert post(post_event, shop, *(of(held_back, kind) for kind in kinds)) == {200}
    order = held_back.wait(payment="partially_refunded", fulfilment="fulfilled")
    shop.catch_up()
    delivered_once(held_back)
    assert [step["refund"] for step in order["steps"] if step["refund"]] == [1000]
    assert len(held_back.effects()["buyer mails"]) == 3


# On each database


@pytest.fixture(params=DATABASES)
def store(request, tmp_path) -> Iterator[Store]:
    store = connect(fresh(request.param, tmp_path))
    yield store
    store.close()


class Careless(Orders):
    """Orders without their guard: every change is written, whoever else changed the order since it was read."""

    def save(self, value: Order) -> bool:
        written = False
        while not written:
            held = self.require(value.id)
            value.version = held.version + 1
            written = self._store.replace("orders", msgspec.to_builtins(value), held.version)
        return True


class Crowd:
    """One paid purchase, and any number of order-stores on one database."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.purchase = Purchase(1)
        self.purchase.money = "paid"
        self.functions = Functions()
        self.clock = Clock()

    def process(self, name: str, **guards) -> Process:
        return Process(self.store, Provider([self.purchase]), self.functions, self.clock, name, **guards)

    def meet(self, job: Callable[[Process], object], moment: int, **guards) -> None:
        """Two processes do the same, and neither goes on from the moment before both have come to it."""
        barrier = threading.Barrier(2, timeout=20)
        processes = [self.process(name, **guards) for name in "ab"]
        for process in processes:
            process.moments.at(moment, barrier.wait)
        at_once([lambda process=process: job(process) for process in processes], THREADS)

    def deliver(self, process: Process, kind: str, number: int) -> bool:
        """The event arrives at this process, which puts it into the inbox and does what a hint asks for."""
        event = self.purchase.event(kind, number, self.clock.instant())
        added = process.inbox.add(event)
        process.handle(event.id)
        return added

    def settled(self) -> list[Order]:
        """All orders, once nothing is due today."""
        self.process("last").sweep()
        return self.process("last").orders.list({}).items

    def asked(self) -> Counter[str]:
        return Counter(request.step for request in self.functions.asked)


#: What the first day of the purchase asks of the functions.
TODAY = Counter(["course.invite", "course.purchase", "course.access", "receipt"])


def test_the_same_event_fifty_times_at_once_is_stored_once_and_each_function_asked_once(store):
    crowd = Crowd(store)
    processes = [crowd.process(str(number)) for number in range(THREADS)]
    kind = "checkout.session.completed"
    jobs = [lambda number=number: crowd.deliver(processes[number % THREADS], kind, 1) for number in range(TIMES)]
    assert Counter(at_once(jobs, THREADS)) == {True: 1, False: TIMES - 1}
    [order] = crowd.settled()
    assert crowd.asked() == TODAY
    assert set(crowd.functions.effects.values()) == {1}
    assert (order.payment_status, order.fulfilment_status) == ("paid", "fulfilled")


def test_many_different_events_of_one_session_at_once_are_one_order(store):
    crowd = Crowd(store)
    processes = [crowd.process(str(number)) for number in range(THREADS)]
    kinds = ["checkout.session.completed", "checkout.session.async_payment_succeeded"] * (THREADS // 2)
    jobs = [lambda n=n, kind=kind: crowd.deliver(processes[n], kind, n) for n, kind in enumerate(kinds)]
    assert at_once(jobs, THREADS) == [True] * THREADS
    assert len(crowd.settled()) == 1
    assert crowd.asked() == TODAY


#: Moments of a process that makes an order: before and after it reads the payment, then before it writes.
BEFORE_THE_ORDER_IS_WRITTEN = 2


def sync(process: Process) -> None:
    assert process.intake.sync("stripe", "cs_1", "twin") is not None


def test_two_that_have_both_seen_no_order_make_one_because_its_id_is_derived(store):
    crowd = Crowd(store)
    crowd.meet(sync, BEFORE_THE_ORDER_IS_WRITTEN)
    assert [order.id for order in crowd.settled()] == ["o-cs_1"]
    assert crowd.asked() == TODAY


def test_control_with_ids_that_are_made_up_the_same_meeting_sells_twice(store):
    crowd = Crowd(store)
    numbers = iter(range(9))
    crowd.meet(sync, BEFORE_THE_ORDER_IS_WRITTEN, order_id=lambda session_id: f"o-{next(numbers)}")
    assert len(crowd.settled()) == 2
    assert crowd.asked() == TODAY + TODAY


def drive(process: Process) -> None:
    process.driver.drive("o-cs_1")


def test_two_that_have_both_seen_a_step_due_ask_for_it_once_because_of_the_version(store):
    crowd = Crowd(store)
    sync(crowd.process("first"))
    crowd.meet(drive, 0)
    [order] = crowd.settled()
    assert crowd.asked() == TODAY
    assert order.fulfilment_status == "fulfilled"


def test_control_without_the_version_the_same_meeting_asks_twice(store):
    crowd = Crowd(store)
    sync(crowd.process("first"))
    crowd.meet(drive, 0, orders=Careless)
    assert crowd.asked()["course.invite"] == 2
