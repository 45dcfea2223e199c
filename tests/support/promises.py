"""What is promised of an order at every write, at every call of a function, and when all is at rest."""

from __future__ import annotations

from typing import Any

import msgspec

from pushcart.domain import payment, steps
from pushcart.domain.event import EventStatus, InboxEvent
from pushcart.domain.order import DELIVERED_FOR, OPEN_STATES, FulfilmentStatus, Order, Phase, Step, StepState
from pushcart.repositories import Orders
from support.processes import SHOP, Clock, Functions, Purchase

#: What one write may make of a step. A result that comes late is still a result; a lease may be taken over at once.
WAITING, DUE, RUNNING, DONE, FAILED, DEAD, CANCELLED = StepState
AFTER = {
    WAITING: {DUE, RUNNING, CANCELLED},
    DUE: {RUNNING, CANCELLED, DONE},
    RUNNING: {DONE, FAILED, DEAD, DUE, CANCELLED},
    FAILED: {RUNNING, DUE, CANCELLED, DONE},
    DEAD: {DUE, CANCELLED, DONE},
    CANCELLED: {DUE, DONE},
    DONE: set(),
}


class Promises:
    """Judges the order of one purchase. `written` takes (writer, document) of every write, as `Journal` notes them.

    A mail may go out twice only for a reason: its key is then in `excused`. `refund_failed` says that the amount
    that was refunded may go down.
    """

    def __init__(self, purchase: Purchase, orders: Orders, clock: Clock) -> None:
        self.purchase, self.orders, self.clock = purchase, orders, clock
        self.functions = Functions(self.asked)
        self.written: list[tuple[str, dict[str, Any]]] = []
        self.excused: set[str] = set()
        self.running: dict[str, str] = {}
        self.last: Order | None = None
        self.refund_failed = False

    def a_process_died(self) -> None:
        """What it was doing may be done again."""
        self.excused |= self.running.keys()

    def asked(self, request: Any) -> None:
        """Called with every request to a step's function, before anything is done."""
        if request.order is None:
            return  # a notice about an event
        assert self.purchase.received or request.step.startswith("attention."), "an effect before the money is in"
        leased = self._lease_of(request)
        if leased.lease_until <= self.clock.instant():
            self.excused.add(request.key)  # the process slept through its lease: only the key helps now
            return
        step = steps.require(self.orders.require(request.order.id), request.step)
        assert (step.key, step.lease) == (request.key, leased.lease), f"{step.id} runs without its lease"
        if step.phase is Phase.SALE:
            kept = step.sku is not None and not SHOP.product(step.sku).on_refund.cancel
            owed = request.order.payment_status in DELIVERED_FOR
            assert owed or step.asked or (kept and request.order.payment_status == "refunded"), step.id
        held = self.running.get(step.key)
        assert held is None or held <= self.clock.instant(), f"{step.id} runs twice at the same time"
        if held is not None or self._may_repeat(step):
            self.excused.add(step.key)
        self.running[step.key] = leased.lease_until

    def _lease_of(self, request: Any) -> Step:
        """The step as its caller leased it, in a write of the rule that runs."""
        for _, document in reversed(self.written):
            step = steps.require(msgspec.convert(document, Order), request.step)
            if step.state is StepState.RUNNING and step.attempts == request.attempt:
                return step
        raise AssertionError(f"{request.step} was called without a lease")

    def _may_repeat(self, step: Step) -> bool:
        """An earlier attempt may have sent the mail: its answer was lost, or the owner asked for it again."""
        return step.attempts > 1 or step.asked

    def hold(self) -> None:
        """Raises for the first promise that was broken since the last time."""
        self.functions.all_kept()
        self.running.clear()
        order = self.orders.get(self.purchase.order_id)
        if order is None:
            assert self.last is None, "an order was lost"
            return
        for writer, document in self.written:
            self._follows(writer, msgspec.convert(document, Order))
        self.written.clear()
        assert self.last == order
        for step in order.steps:
            assert (step.state is StepState.RUNNING) == (step.lease is not None and step.lease_until is not None)
        assert len({step.id for step in order.steps}) == len({step.key for step in order.steps}) == len(order.steps)
        assert all(step.refund is None or step.refund > 0 for step in order.steps)
        self._the_status_agrees(order)
        self._every_effect_is_done_once(order)

    def _follows(self, writer: str, order: Order) -> None:
        """Of two writes that follow one another, the second knows of everything in the first."""
        assert order.due_at == min((at for step in order.steps if (at := steps.wakes_at(order, step))), default=None)
        assert order.paid_at is None or self.purchase.received
        last = self.last or Order(id=order.id, created_at=order.created_at, updated_at=order.created_at)
        assert order.version == last.version + 1
        assert order.history[: len(last.history)] == last.history
        assert last.payment_status not in payment.RECEIVED or order.payment_status in payment.RECEIVED
        if last.payment is not None and not self.refund_failed:
            assert order.payment.amount_refunded >= last.payment.amount_refunded, "older news than we had"
        for step in last.steps:
            now = steps.require(order, step.id)
            assert now.state is step.state or now.state in AFTER[step.state], f"{step.id}: {step.state}, {now.state}"
            live = step.state is StepState.RUNNING and step.lease_until > order.updated_at
            if live and now.state is not step.state and now.state is not StepState.DONE:
                assert step.lease.partition("-")[0] == writer, f"{step.id} was ended by another than its holder"
        self.last = order

    def _the_status_agrees(self, order: Order) -> None:
        status = order.fulfilment_status
        assert (status is FulfilmentStatus.NEEDS_ATTENTION) == bool(order.open_attention())
        sale = [step for step in order.steps if step.phase is Phase.SALE and not step.follow_up]
        if status is not FulfilmentStatus.NEEDS_ATTENTION:
            assert (status is FulfilmentStatus.IN_PROGRESS) == any(step.state in OPEN_STATES for step in sale)
        if sale:
            assert status is not FulfilmentStatus.NONE
            assert order.paid_at is not None

    def _every_effect_is_done_once(self, order: Order) -> None:
        made: dict[tuple[str, str, str | None], set[str]] = {}
        for request in self.functions.asked:
            if request.order is not None and request.kind != "email":
                about = ",".join(line.id for line in request.lines)
                made.setdefault((request.kind, about, request.config.get("platform")), set()).add(request.key)
        assert all(len(keys) == 1 for keys in made.values()), made
        for key, count in self.functions.effects.items():
            assert count == 1 or key in self.excused or ".notice-" in key, f"{key} was done {count} times"

    def all_is_at_rest(self, events: list[InboxEvent]) -> None:
        """At the end: these are all events that ever came, and nothing more will happen by itself."""
        for event in events:
            assert event.status in (EventStatus.APPLIED, EventStatus.IGNORED), event
            assert event.due_at is None
        order = self.orders.get(self.purchase.order_id)
        if order is None:
            assert not events, "paid, or at least told, but no order"
            return
        fresh = Order(id=order.id, created_at=order.created_at, updated_at=order.updated_at)
        payment.update(fresh, self.purchase.facts(), SHOP, order.updated_at, "the truth")
        for told in (order, fresh):
            for one in told.lines:
                one.planned = False
        alike = ("payment_status", "payment", "lines", "buyer", "email", "skus", "session_id", "payment_intent")
        if events:
            assert [getattr(order, name) for name in alike] == [getattr(fresh, name) for name in alike]
        for step in order.steps:
            self._is_at_rest(order, step)
        owed = {step.id for step in fresh.steps if step.phase is Phase.SALE}
        assert owed <= {step.id for step in order.steps}

    def _stands_still(self, order: Order, step: Step) -> bool:
        """It waits for the bank's decision, or for the owner to retry what it needs."""
        needed = [steps.require(order, name) for name in step.needs]
        waits = any(one.state is StepState.DEAD or self._stands_still(order, one) for one in needed)
        return waits or (steps.paused(order, step) and not order.payment.dispute.lost)

    def _is_at_rest(self, order: Order, step: Step) -> None:
        assert step.state not in OPEN_STATES or self._stands_still(order, step), f"{step.id} is {step.state} for ever"
        assert step.state is not StepState.DONE or self.functions.effects[step.key] >= 1
        if step.state is StepState.CANCELLED:
            assert any(entry.what.startswith(f"{step.id} cancelled: ") for entry in order.history)
        if step.state is StepState.DEAD:
            [item] = [item for item in order.open_attention() if item.subject == step.id]
            mails = [other for other in order.steps if other.subject == f"{item.code} {item.subject}"]
            assert any(mail.state is StepState.DONE for mail in mails), f"nobody was told of {step.id}"
