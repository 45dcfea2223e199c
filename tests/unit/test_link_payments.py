"""Payments by signed link: whatever sequence the notices come in, what they say together decides."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import Order
from pushcart.errors import Conflict
from pushcart.repositories import Orders
from pushcart.services.link_payments import LinkPayments
from pushcart.services.owner import Owner
from pushcart.store import Store, connect
from support.processes import Quiet
from support.races import at_once
from support.till import Till

#: What one notice says: its attempt, the status, and what of it is not as usual.
Said = tuple[str, str, dict[str, Any]]


def said(reference: str, status: str, **more: Any) -> Said:
    return reference, status, more


LATE = {"at": "2026-11-21T07:55:00.000Z"}
OTHER = {"amount": 4800}

#: What was said, the payment's status at last, how often the goods went out, and what a human has to look at.
LIVES: dict[str, tuple[tuple[Said, ...], str, int, list[tuple[str, str]]]] = {
    "paid at once": ((said("R1", "pending"), said("R1", "paid"), said("R1", "failed")), "paid", 1, []),
    "paid at the second attempt": (
        (said("R1", "failed"), said("R2", "pending"), said("R2", "paid"), said("R3", "failed")),
        "paid",
        1,
        [],
    ),
    "paid twice": (
        (said("R1", "pending"), said("R1", "paid"), said("R2", "paid", **LATE), said("R2", "failed")),
        "paid",
        1,
        [("paid_twice", "R2")],
    ),
    "paid twice at no known time": (
        (said("R2", "paid", at=None), said("R1", "paid", at=None), said("R3", "paid", at=None)),
        "paid",
        1,
        [("paid_twice", "R2"), ("paid_twice", "R3")],
    ),
    "paid wrongly, then rightly": (
        (said("R1", "paid", **OTHER), said("R2", "paid", **LATE), said("R1", "failed")),
        "paid",
        1,
        [("paid_twice", "R1")],
    ),
    "paid wrongly": (
        (said("R1", "pending"), said("R1", "paid", **OTHER), said("R2", "failed")),
        "paid",
        0,
        [("wrong_amount", "")],
    ),
    "never paid": (
        (said("R1", "pending"), said("R1", "failed"), said("R2", "failed"), said("R3", "failed")),
        "failed",
        0,
        [],
    ),
    "still pending": ((said("R1", "failed"), said("R2", "pending"), said("R3", "failed")), "unpaid", 0, []),
}


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    opened = connect(f"sqlite:///{tmp_path}/shop.db")
    yield opened
    opened.close()


_tokens = itertools.count(10**15)


@pytest.fixture
def till(store) -> Till:
    return Till(store)


def begin(till: Till, *skus: str) -> str:
    """The id of an order to be paid by link."""
    return till.begin(*skus, pay="autopay", token=str(next(_tokens))).order_id


def goods(till: Till) -> list[str]:
    """What went to buyers."""
    return [mail for mail in till.mails() if mail.endswith(".access")]


def alarms(till: Till) -> list[str]:
    """What the owner was told, by the step or the event's notice."""
    return [mail.partition(".")[2] for mail in till.mails() if ".attention." in mail or ".notice-" in mail]


def end(order: Order) -> str:
    """All that the order came to, but for its times, its history and its id."""
    told = {
        "statuses": (order.payment_status, order.fulfilment_status, order.due_at, order.check_at),
        "payment": msgspec.to_builtins(order.payment),
        "lines": msgspec.to_builtins(order.lines),
        "steps": sorted((step.id, step.state, step.attempts) for step in order.steps if step.phase == "sale"),
        "attention": sorted((item.code, item.subject) for item in order.open_attention()),
    }
    return json.dumps(told, indent=1).replace(order.id, "ORDER")


@pytest.mark.parametrize("life", LIVES)
def test_the_same_notices_in_any_sequence_and_repeated_end_in_the_same_order(store, life):
    notices, status, deliveries, open_attention = LIVES[life]
    ends: dict[str, list[Any]] = {}
    for sequence in itertools.permutations(notices):
        till = Till(store)
        order_id = begin(till)
        events = [till.notice(order_id, status, reference, **more) for reference, status, more in sequence]
        for event in [*events, *reversed(events)]:
            till.hear(event)
        order = till.orders.require(order_id)
        ends.setdefault(end(order), []).append([one[:2] for one in sequence])
        assert len(goods(till)) == deliveries
        assert order.payment_status == status
        assert sorted((item.code, item.subject) for item in order.open_attention()) == open_attention
    assert len(ends) == 1, "\n".join(f"{sequences[:3]}: {told}" for told, sequences in ends.items())


@pytest.mark.parametrize("status", ["failed", "pending"])
@pytest.mark.parametrize("reference", ["R1", "R2"])
def test_paid_is_never_undone(till, status, reference):
    order_id = begin(till)
    till.hear(till.notice(order_id, "paid"))
    before = till.orders.require(order_id)
    till.hear(till.notice(order_id, status, reference, at="2026-11-21T09:00:00.000Z"))
    after = till.orders.require(order_id)
    assert (after.payment_status, after.paid_at, after.steps) == (before.payment_status, before.paid_at, before.steps)
    assert after.payment_intent == "R1"
    assert (after.fulfilment_status, len(goods(till))) == ("fulfilled", 1)


def test_an_attempt_that_failed_may_be_followed_by_one_that_pays(till):
    begun = till.begin(pay="autopay", token=str(next(_tokens)))
    till.hear(till.notice(begun.order_id, "failed"))
    assert till.order(begun).payment_status == "failed"
    assert till.begin(pay="autopay", token=str(next(_tokens) - 1)) == begun, "the same cart leads to the same link"
    till.hear(till.notice(begun.order_id, "paid", "R2"))
    assert (till.order(begun).payment_status, goods(till)) == ("paid", [f"{begun.order_id}.course.access"])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"amount": 4899}, "48.99 EUR arrived instead of 49.00 EUR"),
        ({"amount": 4901}, "49.01 EUR arrived instead of 49.00 EUR"),
        ({"amount": 0}, "0.00 EUR arrived instead of 49.00 EUR"),
        ({"currency": "PLN"}, "49.00 PLN arrived instead of 49.00 EUR"),
        ({"currency": "JPY"}, "4900 JPY arrived instead of 49.00 EUR"),
        ({"amount": 49000, "currency": "KWD"}, "49.000 KWD arrived instead of 49.00 EUR"),
    ],
)
def test_another_sum_than_was_asked_for_is_kept_told_and_not_delivered_until_the_owner_says_so(till, wrong, why):
    order_id = begin(till)
    till.hear(till.notice(order_id, "paid", **wrong))
    order = till.orders.require(order_id)
    [item] = order.open_attention()
    assert (item.code, item.text, order.fulfilment_status) == ("wrong_amount", why, "needs_attention")
    assert (goods(till), alarms(till)) == ([], ["attention.wrong-amount-1"])
    owner = Owner(till.orders, till.process.inbox, till.process.intake, Quiet(), till.catalogue, till.clock)
    owner.release(Request(), order_id)
    till.process.drain()
    order = till.orders.require(order_id)
    assert (order.fulfilment_status, goods(till)) == ("fulfilled", [f"{order_id}.course.access"])
    assert order.open_attention() == []
    with pytest.raises(Conflict):
        owner.release(Request(), order_id)


class Request:
    """As much of a request as the owner's API needs here."""

    def __init__(self) -> None:
        self.log_fields: dict[str, Any] = {}


def test_money_for_an_order_nobody_made_is_kept_and_the_owner_told_at_once_and_at_the_end(till):
    event = till.notice("o-nobodys", "paid", str(next(_tokens)))
    till.hear(event)
    kept = till.process.inbox.require(event.id)
    assert (kept.status, kept.attempts, kept.alarm) == (EventStatus.PENDING, 1, True)
    assert kept.error.startswith("Autopay: 49.00 EUR arrived for o-nobodys, which no checkout of this shop made")
    assert len(alarms(till)) == 1
    till.process.drain()
    kept = till.process.inbox.require(event.id)
    assert (kept.status, kept.body) == (EventStatus.DEAD, event.body)
    assert len(alarms(till)) == 2
    assert till.orders.get("o-nobodys") is None


def test_a_payment_that_claims_to_come_from_the_future_is_delivered_now(till):
    order_id = begin(till)
    till.hear(till.notice(order_id, "paid", at="2026-11-21T09:00:00.000Z"))
    order = till.orders.require(order_id)
    assert (order.paid_at, order.fulfilment_status) == (till.clock.instant(), "fulfilled")


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_an_order_nobody_made_and_nobody_paid_is_ignored(till, status):
    event = till.notice("o-nobodys", status, str(next(_tokens)))
    till.hear(event)
    assert till.process.inbox.require(event.id).status is EventStatus.IGNORED
    assert (till.orders.get("o-nobodys"), till.mails()) == (None, [])


def test_a_notice_counts_only_for_the_order_it_names(till):
    mine, other = begin(till), begin(till)
    event = till.notice(mine, "paid")
    event.body = till.notice(other, "paid").body
    till.hear(event)
    assert till.orders.require(mine).payment_status == till.orders.require(other).payment_status == "unpaid"


def test_money_after_the_checkout_has_expired_is_delivered_all_the_same(till):
    order_id = begin(till)
    till.process.drain()
    assert till.orders.require(order_id).payment_status == "expired"
    till.clock.advance(86_400)
    till.hear(till.notice(order_id, "paid"))
    order = till.orders.require(order_id)
    assert (order.payment_status, order.fulfilment_status) == ("paid", "fulfilled")
    assert goods(till) == [f"{order_id}.course.access"]


def test_a_failure_after_the_checkout_has_expired_leaves_it_expired(till):
    order_id = begin(till)
    till.process.drain()
    till.hear(till.notice(order_id, "failed"))
    order = till.orders.require(order_id)
    assert (order.payment_status, order.due_at) == ("expired", None)


# At once


class Together(LinkPayments):
    """Payments whose readers wait for one another once, when all have read and nobody has written yet."""

    def __init__(self, barrier: threading.Barrier, *parts: Any) -> None:
        super().__init__(*parts)
        self._barrier, self._waited = barrier, False

    def payment(self, session_id: str, order: Order | None, event: InboxEvent | None) -> Any:
        facts = super().payment(session_id, order, event)
        if not self._waited:
            self._waited = True
            self._barrier.wait(20)
        return facts


class Careless(Orders):
    """Orders without their guard: what was changed since it was read is overwritten."""

    def save(self, value: Order) -> bool:
        written = False
        while not written:
            value.version = self.require(value.id).version
            written = super().save(value)
        return True


def apply_at_once(till: Till, events: list[InboxEvent], orders: type[Orders] = Orders) -> Order:
    """Applies the events on an order-store each, all of which have read the order before one writes; then all rests."""
    barrier = threading.Barrier(len(events))
    for event in events:
        till.process.inbox.add(event)
    stores = [till.another(str(n), orders, lambda *parts: Together(barrier, *parts)) for n, _ in enumerate(events)]
    at_once(
        [lambda one=one, event=event: one.intake.apply(event.id) for one, event in zip(stores, events, strict=True)]
    )
    till.process.sweep()
    return till.orders.require(str(events[0].object_id))


def test_the_same_success_eight_times_at_once_is_delivered_once(till):
    order = apply_at_once(till, [till.notice(begin(till), "paid")] * 8)
    assert (order.payment_status, order.fulfilment_status, len(goods(till))) == ("paid", "fulfilled", 1)
    assert order.open_attention() == []


def test_two_payments_at_once_are_delivered_once_and_both_known(till):
    order_id = begin(till)
    order = apply_at_once(till, [till.notice(order_id, "paid", reference) for reference in ("R1", "R2")])
    assert [(item.code, item.subject) for item in order.open_attention()] == [("paid_twice", "R2")]
    assert (len(goods(till)), alarms(till)) == (1, ["attention.paid-twice-r2-1"])


def test_control_without_the_version_one_of_two_payments_at_once_is_forgotten(till):
    order_id = begin(till)
    events = [till.notice(order_id, "paid", reference) for reference in ("R1", "R2")]
    order = apply_at_once(till, events, Careless)
    assert len(order.payment.notices) == 1
    assert order.open_attention() == []
