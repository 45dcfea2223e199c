"""From event to order: what is retried, what is told to the owner, and whose sessions they are."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from pushcart.clock import seconds_between, to_instant
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import PaymentStatus
from pushcart.errors import ProviderBusy, ProviderRefused, ProviderUnavailable
from pushcart.repositories import Counters, Inbox, Orders
from pushcart.services.intake import Intake
from pushcart.services.stock import Stock
from pushcart.store import connect
from support.shop import catalogue, facts, line, states


class Payments:
    """A payment provider that says what a test tells it to: facts by session, or an error for all."""

    def __init__(self):
        self.sessions = {}
        self.error = None

    def order_id(self, session_id):
        return f"o-{session_id}"

    def payment(self, session_id, order, event):
        if self.error:
            raise self.error
        return self.sessions[session_id]

    def session_of(self, payment_intent, charge):
        return next((id for id, one in self.sessions.items() if one.payment_intent == payment_intent), None)


class World:
    """An intake on a store of its own, with a clock that stands still until a test moves it."""

    def __init__(self, tmp_path):
        self.now = datetime(2026, 11, 21, 8, tzinfo=UTC)
        self.store = connect(f"sqlite:///{tmp_path}/shop.db")
        self.orders, self.inbox = Orders(self.store), Inbox(self.store)
        self.payments = Payments()
        counters = Counters(self.store, self.clock)
        stock = Stock(self.store, catalogue, self.clock)
        parts = (self.orders, self.inbox, counters, {"stripe": self.payments}, stock, catalogue, self.clock)
        self.intake = Intake(*parts, random.Random(0))

    def clock(self):
        return self.now

    def event(self, number=1, **about):
        now = to_instant(self.now)
        given = {"type": "checkout.session.completed", "object_type": "checkout.session", "object_id": "cs_1", **about}
        fixed = {"source": "stripe", "event_id": f"evt_{number}", "received_at": now, "due_at": now, "body": "{}"}
        self.inbox.add(InboxEvent(id=f"stripe:evt_{number}", **fixed, **given))
        return f"stripe:evt_{number}"

    def apply(self, session_id="cs_1", number=1):
        return self.intake.apply(self.event(number, object_id=session_id))


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.store.close()


def test_a_paid_session_becomes_an_order_and_the_event_remembers_which(world):
    world.payments.sessions["cs_1"] = facts()
    assert world.apply() == "o-cs_1"
    event = world.inbox.require("stripe:evt_1")
    assert (event.status, event.order_id, event.due_at) == (EventStatus.APPLIED, "o-cs_1", None)


def test_a_rate_limit_costs_no_attempt_however_often_it_comes(world):
    world.payments.error = ProviderBusy("Stripe", "its rate limit is reached", retry_after=2)
    event_id = world.event()
    for _ in range(50):
        world.intake.apply(event_id)
    event = world.inbox.require(event_id)
    assert (event.status, event.attempts, event.alarm) == (EventStatus.PENDING, 0, False)
    assert seconds_between(to_instant(world.now), event.due_at) == 2


def test_an_event_that_cannot_be_applied_is_dead_after_two_days_and_wants_telling(world):
    world.payments.error = ProviderUnavailable("Stripe", "down", retry_after=1)
    event_id = world.event()
    started = world.now
    while (event := world.inbox.require(event_id)).status is EventStatus.PENDING:
        world.now = max(world.now, datetime.fromisoformat(event.due_at))
        world.intake.apply(event_id)
    assert world.now - started > timedelta(hours=40)
    assert event.wants_telling
    assert event.error == "Stripe: down"


def test_a_refusal_for_good_is_told_at_once_and_tried_again_all_the_same(world):
    world.payments.error = ProviderRefused("Stripe", "Invalid API Key", status=401)
    event_id = world.event()
    world.intake.apply(event_id)
    event = world.inbox.require(event_id)
    assert (event.status, event.wants_telling) == (EventStatus.PENDING, True)
    world.payments.error = None
    world.payments.sessions["cs_1"] = facts()
    assert world.intake.apply(event_id) == "o-cs_1"


def test_a_mistake_of_ours_is_an_attempt_like_any_other_and_no_loop(world):
    event_id = world.event()
    world.intake.apply(event_id)
    event = world.inbox.require(event_id)
    assert event.attempts == 1
    assert event.error == "a mistake in Pushcart (KeyError); see order-store's log"


def test_an_expired_first_session_does_not_keep_the_paid_second_one_from_its_order(world):
    expired = facts(session_id="cs_a", money="expired", order_id="cart-1", payment_intent=None, amount_received=None)
    world.payments.sessions = {"cs_a": expired, "cs_b": facts(session_id="cs_b", order_id="cart-1")}
    assert world.apply("cs_a", 1) == world.apply("cs_b", 2) == "cart-1"
    order = world.orders.require("cart-1")
    assert (order.payment_status, order.session_id) == (PaymentStatus.PAID, "cs_b")
    assert "course.invite" in states(order)


def test_an_expired_second_session_changes_nothing_of_the_paid_first(world):
    expired = facts(session_id="cs_b", money="expired", order_id="cart-1", payment_intent=None)
    world.payments.sessions = {"cs_a": facts(session_id="cs_a", order_id="cart-1"), "cs_b": expired}
    world.apply("cs_a", 1)
    before = world.orders.require("cart-1")
    world.apply("cs_b", 2)
    assert world.orders.require("cart-1") == before


def test_a_cart_that_was_paid_twice_is_delivered_once_and_raised(world):
    second = facts(session_id="cs_b", order_id="cart-1", payment_intent="pi_2")
    world.payments.sessions = {"cs_a": facts(session_id="cs_a", order_id="cart-1"), "cs_b": second}
    world.apply("cs_a", 1)
    world.apply("cs_b", 2)
    order = world.orders.require("cart-1")
    assert [item.code for item in order.open_attention()] == ["paid_twice"]
    assert [step.id for step in order.steps].count("course.invite") == 1


def test_a_session_nobody_paid_for_with_nothing_of_this_shop_in_it_is_no_order(world):
    world.payments.sessions["cs_1"] = facts(money="expired", lines=[line(1, "price_other")], payment_intent=None)
    assert world.apply() is None
    assert world.inbox.require("stripe:evt_1").status is EventStatus.IGNORED


def test_money_for_something_unknown_is_always_an_order(world):
    world.payments.sessions["cs_1"] = facts(lines=[line(1, "price_other")])
    assert world.apply() == "o-cs_1"


def test_an_order_id_that_is_none_of_ours_is_not_taken(world):
    world.payments.sessions["cs_1"] = facts(order_id="../../etc/passwd " * 9)
    assert world.apply() == "o-cs_1"


def test_an_event_of_no_session_is_ignored_and_counted(world):
    about = {"type": "charge.refunded", "object_type": "charge", "object_id": "ch_9", "payment_intent": "pi_elsewhere"}
    assert world.intake.apply(world.event(9, **about)) is None
    assert world.store.get("counters", "2026-11-21.stripe.foreign.charge.refunded")["value"] == 1
