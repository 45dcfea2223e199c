"""Six events of one order in any sequence: Stripe promises none, so the order must not depend on it."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec
import pytest

from pushcart.domain.order import DELIVERED_FOR, Order
from pushcart.store import Store, connect
from support.databases import DATABASES, fresh
from support.processes import Clock, Functions, Process, Provider, Purchase, forget

#: An event, and what happened at the provider just before it was made.
Stage = tuple[str, Callable[[Purchase], None]]

PAID_LATE: tuple[Stage, ...] = (
    ("checkout.session.completed", lambda purchase: None),
    ("checkout.session.async_payment_succeeded", lambda purchase: setattr(purchase, "money", "paid")),
    ("refund.created", lambda purchase: purchase.refunds.append(1000)),
    ("charge.dispute.created", lambda purchase: purchase.disputed("needs_response")),
    ("charge.dispute.closed", lambda purchase: purchase.disputed("won")),
)

#: A delayed payment, a partial refund, a dispute that is won; at last the rest is refunded, or a little more only.
LIVES: dict[str, tuple[Stage, ...]] = {
    "refunded": (*PAID_LATE, ("charge.refunded", lambda purchase: purchase.refunds.append(3900))),
    "kept": (*PAID_LATE, ("charge.refunded", lambda purchase: purchase.refunds.append(500))),
}
ORDERS = list(itertools.permutations(range(6)))

#: All 720 of one life where a commit costs least; else a sample, another one for each life.
HOW_MANY = {"sqlite": 240, "postgresql": 20, "mongodb": 8}

_numbers = itertools.count(1001)


@pytest.fixture(scope="module", params=DATABASES)
def database(request, tmp_path_factory) -> Iterator[tuple[str, Store]]:
    store = connect(fresh(request.param, tmp_path_factory.mktemp("store")))
    yield request.param, store
    store.close()


def some(kind: str, seed: str) -> list[tuple[int, ...]]:
    every = (kind, seed) == ("sqlite", "kept")
    return ORDERS if every else random.Random(seed).sample(ORDERS, HOW_MANY[kind])


class Life:
    """One purchase, an order-store of its own on the shared store, and what its functions were asked."""

    def __init__(self, store: Store, stages: Sequence[Stage]) -> None:
        self.store, self.stages, self.happened = store, stages, 0
        self.purchase = Purchase(next(_numbers))
        self.clock = Clock()
        self.functions = Functions(self._watch)
        self.process = Process(store, Provider([self.purchase]), self.functions, self.clock)

    def happen(self, until: int) -> None:
        """The truth moves on to the stage `until` (counted from 1)."""
        for _, change in self.stages[self.happened : until]:
            change(self.purchase)
        self.happened = max(self.happened, until)

    def deliver(self, number: int) -> None:
        event = self.purchase.event(self.stages[number][0], number, self.clock.instant())
        assert self.process.inbox.add(event)
        assert self.process.intake.apply(event.id) == self.purchase.order_id

    def drive(self) -> None:
        self.process.driver.drive(self.purchase.order_id)

    def order(self) -> Order:
        return self.process.orders.require(self.purchase.order_id)

    def forget(self, kind: str) -> None:
        """Elsewhere than in a file of SQLite's, what lies about makes each look slower than it takes to remove."""
        if kind != "sqlite":
            forget(self.store)

    def _watch(self, request) -> None:
        """Nothing is delivered before the money is in, nor once all of it went back or the bank disputes it."""
        if request.step.startswith(("course.", "receipt")) and ".refund." not in request.step:
            assert self.purchase.received
            assert request.order.payment_status in DELIVERED_FOR

    def outcome(self) -> str:
        """All that an order came to, but for its times, its history and the number of the purchase."""
        self.functions.all_kept()
        order = self.order()
        told = {
            "statuses": (order.payment_status, order.fulfilment_status, order.due_at, order.paid_at),
            "payment": msgspec.to_builtins(order.payment),
            "lines": [(line.id, line.sku, line.planned, line.amount_total) for line in order.lines],
            "steps": sorted((step.id, step.state, step.refund, step.attempts, step.key) for step in order.steps),
            "refund_planned": order.refund_planned,
            "attention": sorted((item.code, item.subject, item.handled_at is None) for item in order.attention),
            "effects": sorted(self.functions.effects.items()),
            "asked": sorted(request.key for request in self.functions.asked),
        }
        number = self.purchase.session_id.removeprefix("cs_")
        return re.sub(rf"([_-]){number}\b", r"\1N", json.dumps(told, indent=1))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("life", LIVES)
def test_all_that_happened_told_in_any_sequence_ends_in_the_same_order(database, life):
    """Everything happened first, then the events arrive in each sequence, with steps running now and then.

    Each read sees the last truth, so all ends must be equal, in all but times and history: statuses, amounts, steps
    with their states and attempts, what was raised, and every key the functions were asked for, each once.
    """
    kind, store = database
    ends = {}
    for sequence in some(kind, life):
        run, dice = Life(store, LIVES[life]), random.Random(str(sequence))
        run.happen(6)
        for number in sequence:
            run.deliver(number)
            run.clock.advance(dice.choice([0, 1, 20]))
            if dice.random() < 0.5:
                run.drive()
        run.process.drain()
        ends.setdefault(run.outcome(), []).append(sequence)
        run.forget(kind)
        assert set(run.functions.effects.values()) == {1}
    assert len(ends) == 1, "\n".join(f"{sequences[:3]}: {end}" for end, sequences in ends.items())
    told = json.loads(next(iter(ends)))
    delivered = {key.partition(".")[2] for key, _ in told["effects"]}
    if life == "refunded":
        assert (told["statuses"][:2], delivered) == (["refunded", "cancelled"], {"refund-1.refund"})
    else:
        sale = {"course.invite", "course.purchase", "course.access", "course.later", "receipt"}
        assert (told["statuses"][:2], delivered) == (
            ["partially_refunded", "fulfilled"],
            {*sale, "refund-1.refund"},
        )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("life", LIVES)
def test_while_the_truth_moves_on_only_what_was_true_at_each_look_decides(database, life):
    """The events arrive in any sequence while the provider's object moves on; it is never older than its event.

    What was delivered then depends on when we looked: an invitation that went out before a refund stays. So the end
    must equal that of an order which looked at the same stages of the truth, ran its steps after the same looks, and
    heard of no event at all: which event made us look, how often and in which sequence, makes no difference.
    """
    kind, store = database
    for sequence in some(kind, f"{life} moving")[: 60 if kind == "sqlite" else 6]:
        run, dice = Life(store, LIVES[life]), random.Random(str(sequence))
        looks: list[list[int]] = []
        for number in sequence:
            run.happen(max(number + 1, run.happened, dice.randint(1, 6)))
            run.deliver(number)
            drives = dice.random() < 0.5
            if drives:
                run.drive()
            if looks and looks[-1][0] == run.happened:
                looks[-1][1] |= drives
            else:
                looks.append([run.happened, drives])
        run.process.drain()
        alone = Life(store, LIVES[life])
        for stage, drives in looks:
            alone.happen(stage)
            alone.process.intake.sync("stripe", alone.purchase.session_id, "a look")
            if drives:
                alone.drive()
        alone.process.drain()
        assert run.outcome() == alone.outcome(), (sequence, looks)
        assert set(run.functions.effects.values()) == {1}
        refunds = [step.refund for step in run.order().steps if step.refund is not None]
        assert sum(refunds) == sum(run.purchase.refunds)
        assert not [step.id for step in run.order().steps if step.state not in ("done", "cancelled")]
        assert run.order().open_attention() == []
        run.forget(kind)
