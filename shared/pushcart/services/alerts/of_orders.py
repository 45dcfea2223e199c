"""What needs a human about orders, as conditions: dead steps, disputes, and whatever else needs attention."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import NamedTuple

import msgspec

from pushcart import commands
from pushcart.clock import Instant, from_instant, seconds_between
from pushcart.domain.order import Attention, Dispute, FulfilmentStatus
from pushcart.services.alerts.incidents import Condition, Level
from pushcart.store import Store

#: Seconds that a condition counts after it was seen last.
LASTS = 300.0

#: Dead steps of the same kind from which on it is critical: then no sale of that kind goes through.
MANY_DEAD = 10

#: Days before a dispute's deadline from which on it is critical.
URGENT_DAYS = 3

#: The most orders that one look reads.
MOST_ORDERS, PAGE = 1_000, 200

#: What Stripe calls disputes that wait for the shop: https://docs.stripe.com/api/disputes/object
_WAITS_FOR_US = frozenset({"needs_response", "warning_needs_response"})


class _Words(NamedTuple):
    """What an order's attention of one code is called, and what it means."""

    what: str
    means: str
    level: Level = Level.WARNING


_ATTENTION = {
    "unknown_product": _Words(
        "paid, but for something that no product in shop.yml sells", "the buyers get nothing until you see to it"
    ),
    "wrong_amount": _Words(
        "paid, but not the shop's own price", "they are held until you release or refund them by hand"
    ),
    "refund_failed": _Words("a refund that did not reach the buyer", "the money has to go back in another way"),
    "payment_unknown": _Words(
        "nobody could say whether the payment went through", "they wait until you look at the provider's panel"
    ),
    "oversold": _Words("more was sold than there is in stock", "somebody has to wait, or to get the money back"),
    "paid_twice": _Words("paid twice", "one of the payments has to go back"),
    "checkout_refused": _Words(
        "the payment provider refuses to open the checkout", "nobody can buy until that is mended", Level.CRITICAL
    ),
    "print_failed": _Words("Printful could not make what was bought", "nothing is sent until you see to it"),
    "print_cancelled": _Words("Printful cancelled what was bought", "the buyers get nothing until you see to it"),
    "print_on_hold": _Words("Printful holds what was bought", "nothing is sent until you answer Printful"),
    "print_goes_on": _Words(
        "refunded, but Printful still makes what was bought", "you pay for it unless you cancel it at Printful"
    ),
    "print_not_ours": _Words(
        "somebody else's order has its number at Printful",
        "nothing of it is sent to the buyer; whoever has your Printful key can order at your cost",
        Level.CRITICAL,
    ),
    "parcel_returned": _Words("a parcel came back", "the buyers wait for it"),
}


class _Step(msgspec.Struct):
    id: str
    kind: str


class _Payment(msgspec.Struct):
    dispute: Dispute | None = None


class _Order(msgspec.Struct):
    """The part of an order's document that is looked at here."""

    id: str
    steps: list[_Step]
    attention: list[Attention]
    payment: _Payment | None = None


def of_orders(store: Store, now: Instant, zone: tzinfo) -> list[Condition]:
    """Dead steps by their kind, disputes one by one, and all else that needs attention by its code."""
    dead: dict[str, list[str]] = defaultdict(list)
    other: dict[str, list[str]] = defaultdict(list)
    found: list[Condition] = []
    for order in _needing(store):
        kinds = {step.id: step.kind for step in order.steps}
        for item in order.attention:
            if item.handled_at is not None:
                continue
            if item.code == "dead_step":
                dead[kinds.get(item.subject, "unknown")].append(order.id)
            elif item.code != "dispute":
                other[item.code].append(order.id)
            elif (dispute := order.payment and order.payment.dispute) and dispute.status in _WAITS_FOR_US:
                found.append(_dispute(order.id, dispute, now, zone))
    return [*_dead_steps(dead), *found, *map(_attention, other, other.values())]


def _needing(store: Store) -> Iterable[_Order]:
    after: tuple[str, str] | None = None
    equal = {"fulfilment_status": str(FulfilmentStatus.NEEDS_ATTENTION)}
    for _ in range(0, MOST_ORDERS, PAGE):
        page = store.find("orders", equal=equal, order_by="created_at", descending=True, after=after, limit=PAGE)
        yield from (msgspec.convert(document, _Order) for document in page)
        if len(page) < PAGE:
            return
        after = page[-1]["created_at"], page[-1]["id"]


def _dead_steps(dead: Mapping[str, list[str]]) -> Iterable[Condition]:
    for kind, steps in dead.items():
        orders, count = list(dict.fromkeys(steps)), len(steps)
        yield Condition(
            id=f"dead_step.{kind}",
            level=Level.CRITICAL if count >= MANY_DEAD else Level.WARNING,
            what=f"{count} {'step' if count == 1 else 'steps'} of the kind {kind} could not be done",
            means=f"{_orders(orders)} not get what was bought until you have mended the cause and retried",
            command=commands.show_order(orders[0]) if len(orders) == 1 else commands.needing(),
            orders=orders,
            count=count,
            lasts=LASTS,
        )


def _dispute(order_id: str, dispute: Dispute, now: Instant, zone: tzinfo) -> Condition:
    by, level = "", Level.WARNING
    if dispute.evidence_due:
        by = f"; answer it by {from_instant(dispute.evidence_due).astimezone(zone):%Y-%m-%d %H:%M %Z}"
        if seconds_between(now, dispute.evidence_due) < URGENT_DAYS * 86_400:
            level = Level.CRITICAL
    return Condition(
        id=f"dispute.{order_id}",
        level=level,
        what=f"the buyer's bank disputes the payment of order {order_id}{by}",
        means="without an answer at Stripe the money is lost; nothing more of this order is delivered meanwhile",
        command=commands.show_order(order_id),
        orders=[order_id],
        lasts=LASTS,
    )


def _attention(code: str, orders: list[str]) -> Condition:
    words = _ATTENTION.get(code) or _Words(code.replace("_", " "), "they wait until you see to it")
    orders = list(dict.fromkeys(orders))
    count = len(orders)
    return Condition(
        id=f"attention.{code}",
        level=words.level,
        what=f"{count} {'order' if count == 1 else 'orders'}: {words.what}",
        means=words.means,
        command=commands.show_order(orders[0]) if count == 1 else commands.needing(),
        orders=orders,
        count=count,
        lasts=LASTS,
    )


def _orders(orders: list[str]) -> str:
    return "1 order does" if len(orders) == 1 else f"{len(orders)} orders do"
