"""What order-store reports: each attempt at a step or an event once, and every call to somebody else."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from pushcart.clock import to_instant
from pushcart.domain import payment
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Order, StepState
from pushcart.errors import FunctionFailed, ProviderUnavailable
from pushcart.repositories import Inbox, Orders
from pushcart.services.driver import Driver
from pushcart.services.metrics.watching import Unwatched, Watched, watched
from pushcart.services.work import Work
from support.scrapes import Moves
from support.shop import NOW, catalogue, facts

LEASE = 150


class Heard(Unwatched):
    """Remembers what it is told."""

    def __init__(self):
        self.steps, self.events, self.calls = [], [], []

    def called(self, name, error, seconds):
        assert seconds >= 0
        self.calls.append((name, error and error.message))

    def step_ended(self, kind, outcome, seconds):
        assert seconds >= 0
        self.steps.append((kind, outcome))

    def event_ended(self, outcome):
        self.events.append(outcome)


@pytest.fixture
def clock():
    return Moves()


class Calls:
    """Stands in for the gateway: each call ends as the next of `ends` says, then all is well."""

    def __init__(self, *ends):
        self.ends = list(ends)

    def call(self, function, path, body, *, repeatable):
        end = self.ends.pop(0) if self.ends else None
        if isinstance(end, Exception):
            raise end
        return {"result": {}, "note": ""} if end is None else end


def failed(**how):
    return FunctionFailed("invite-link", "it says no", status=500, **how)


def paid(store, clock):
    """The id of an order of one product that was just paid, with its steps due."""
    order = Order(id="o-1", created_at=NOW, updated_at=NOW)
    payment.update(order, facts(), catalogue(), to_instant(clock()), "checkout.session.completed")
    assert Orders(store).add(order)
    return order.id


def drive(store, clock, heard, *ends):
    orders, inbox = Orders(store), Inbox(store)
    source = random.Random(1)
    driver = Driver(orders, inbox, Calls(*ends), clock, lambda: "token", source, LEASE, watcher=heard)
    driver.drive(paid(store, clock))
    return orders.require("o-1")


def test_each_attempt_at_a_step_is_reported_once_with_how_it_ended(store, clock):
    heard = Heard()
    ends = (None, failed(), failed(permanent=True), failed(busy=True, retry_after=30))
    order = drive(store, clock, heard, *ends)
    ran = [step for step in order.steps if step.attempts or step.deferrals]
    by_outcome = {"done": StepState.DONE, "failed": StepState.FAILED, "dead": StepState.DEAD, "busy": StepState.FAILED}
    assert [outcome for _, outcome in heard.steps[:4]] == ["done", "failed", "dead", "busy"]
    assert [(step.kind, step.state) for step in ran][: len(heard.steps)] == [
        (kind, by_outcome[outcome]) for kind, outcome in heard.steps
    ]
    assert len(heard.calls) == len(heard.steps)
    assert heard.calls[1][1] == "it says no"


def test_an_answer_that_is_none_is_a_failed_attempt_at_a_function_that_did_answer(store, clock):
    heard = Heard()
    drive(store, clock, heard, {"result": "text"})
    assert heard.steps[0][1] == "failed"
    assert heard.calls[0][1] is None


def test_an_attempt_whose_process_died_is_reported_as_lost(store, clock):
    order_id, orders, heard = paid(store, clock), Orders(store), Heard()
    order = orders.require(order_id)
    step = order.steps[0]
    step.state, step.lease, step.lease_until, step.attempts = StepState.RUNNING, "gone", to_instant(clock()), 1
    assert orders.save(order)
    clock.advance(1)
    driver = Driver(orders, Inbox(store), Calls(), clock, lambda: "token", random.Random(1), LEASE, watcher=heard)
    driver.drive(order_id)
    assert heard.steps[:2] == [(step.kind, "lost"), (step.kind, "done")]


def test_a_watcher_that_breaks_costs_no_step(store, clock):
    class Broken(Unwatched):
        def called(self, name, error, seconds):
            raise RuntimeError("a mistake")

        step_ended = called

    order = drive(store, clock, Broken())
    assert [step.state for step in order.steps if step.attempts] == [StepState.DONE] * 4


class Intake:
    """Leaves each event in the state that its id names."""

    def __init__(self, inbox, clock):
        self._inbox, self._clock = inbox, clock

    def apply(self, event_id):
        event = self._inbox.require(event_id)
        if event.status is not EventStatus.PENDING:
            return None
        event.status, event.due_at = EventStatus(event_id), None
        event.done_at = None if event_id == "pending" else to_instant(self._clock())
        self._inbox.save(event)
        return "o-1" if event_id == "applied" else None


def test_each_attempt_at_an_event_is_reported_once_however_often_it_is_asked_for(store, clock):
    inbox, heard = Inbox(store), Heard()
    idle = SimpleNamespace(drive=lambda id: False, stop=lambda: None)
    work = Work(Intake(inbox, clock), idle, None, inbox, clock, 1, heard)
    for status in EventStatus:
        about = {"source": "s", "event_id": "1", "type": "t", "body": "{}"}
        inbox.add(InboxEvent(id=str(status), received_at=NOW, due_at=NOW, **about))
        work.event(str(status)).result(10)
        clock.advance(1)
    assert sorted(heard.events) == ["applied", "dead", "ignored", "put_off"]
    for status in ("applied", "ignored", "dead"):
        work.event(status).result(10)
    assert len(heard.events) == 4
    work.close()


def test_only_the_methods_that_ask_the_provider_are_reported():
    class Client:
        timeout = 15

        def order_id(self, session):
            return f"o-{session}"

        def payment(self, session, *, order=None):
            if session == "bad":
                raise ProviderUnavailable("Stripe", "could not be reached")
            return session, order

    heard = Heard()
    client = Watched(Client(), "Stripe", heard, ("payment",))
    assert client.payment("good", order=1) == ("good", 1)
    with pytest.raises(ProviderUnavailable):
        client.payment("bad")
    assert (client.order_id("x"), client.timeout) == ("o-x", 15)
    assert heard.calls == [("Stripe", None), ("Stripe", "Stripe: could not be reached")]


def test_a_mistake_of_ours_is_no_news_of_the_provider():
    heard = Heard()
    with pytest.raises(ZeroDivisionError):
        watched(heard, "Stripe", lambda: 1 / 0)
    assert heard.calls == []
