"""A checkout and the order-stores behind it on one store: from a cart to the money, without any HTTP.

`Sessions` stands for Stripe and has the truth about each session it opened. `Links` stands for a provider of signed
links, of which nothing is known but what its notices say.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import msgspec

from pushcart.clock import Instant
from pushcart.domain.cart import Cart, Rules
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.event import InboxEvent
from pushcart.domain.order import Buyer, Notice, Order
from pushcart.domain.payment import PaymentFacts
from pushcart.errors import PushcartError
from pushcart.providers.stripe_checkout import StripeCheckout
from pushcart.providers.stripe_payments import StripePayments
from pushcart.providers.ways import Opened
from pushcart.repositories import Counters, Locks, Orders
from pushcart.services.checkout import Begun, Checkout
from pushcart.services.intake import Intake
from pushcart.services.link_payments import LinkPayments
from pushcart.services.stock import Stock
from pushcart.store import Store
from support.processes import NEVER, Clock, Functions, Process, Purchase
from support.shop import catalogue

TOKEN = "cart-0123456789abcdef"
MAIL = "Ann@Example.com"

SHOP = """
shop:
  name: Test Shop
  url: https://shop.example
  currency: EUR
  timezone: Pacific/Auckland
  support: help@shop.example
  sender: shop@shop.example
  admins: [owner@shop.example]
checkout:
  pay_with: [stripe, autopay]
  reminder: your-cart
  discounts:
    - {code: SPRING, percent: 10, until: 2026-11-21}
products:
  - sku: course
    name: Course
    price: 49.00
    fulfilment:
      - {step: email, template: access}
  - sku: mug
    name: Mug
    price: 12.00
    stock: 3
    stripe: {price: price_mug}
    fulfilment:
      - {step: email, template: please-pack, to: admins}
  - sku: apron
    name: Apron
    price: 34.00
    options:
      - {name: Size, values: [S, M]}
    stock: {S: 2, M: 5}
    fulfilment:
      - {step: email, template: please-pack, to: admins}
"""


class Sessions:
    """Stripe. `money` is the truth by session of ours (`pending`: on its way), `purchases` those by payment link.

    `error` is what it answers instead, while set; `reads` counts.
    """

    rules = Rules()

    def __init__(self) -> None:
        self.money: dict[str, Any] = {}
        self.purchases: dict[str, Purchase] = {}
        self.error: PushcartError | None = None
        self.reads = 0
        self._opened: dict[str, Order] = {}

    def open(self, order: Order, catalogue: Catalogue, site: str) -> Opened:
        self._answer()
        session_id = f"cs_{order.id}"
        self._opened[session_id] = order
        self.money.setdefault(session_id, "unpaid")
        return Opened(session_id, f"https://pay.example/{session_id}")

    def order_id(self, session_id: str) -> str:
        return f"o-{session_id}"

    def session_of(self, payment_intent: str | None, charge: str | None) -> str | None:
        return None

    def payment(self, session_id: str, order: Order | None, event: InboxEvent | None) -> PaymentFacts | None:
        self.reads += 1
        self._answer()
        if session_id in self.purchases:
            return self.purchases[session_id].facts()
        opened, paid = self._opened[session_id], self.money[session_id] == "paid"
        intent = opened.intent
        assert intent is not None
        return PaymentFacts(
            provider="stripe",
            session_id=session_id,
            created_at=opened.created_at,
            money="unpaid" if self.money[session_id] == "pending" else self.money[session_id],
            pending=self.money[session_id] == "pending",
            currency=intent.currency,
            amount_subtotal=intent.amount_subtotal,
            amount_total=intent.amount_total,
            amount_discount=intent.amount_discount,
            amount_received=intent.amount_total if paid else None,
            order_id=opened.id,
            payment_intent=f"pi_{opened.id}" if paid else None,
            buyer=Buyer(email=opened.buyer.email),
            lines=[msgspec.structs.replace(line) for line in intent.lines],
        )

    def _answer(self) -> None:
        if self.error is not None:
            raise self.error


class Links:
    """The way to pay by links; its notices come as JSON."""

    rules = Rules(currencies={"EUR"}, asks_itself=False, failed_may_pay=True)

    def open(self, order: Order, catalogue: Catalogue, site: str) -> Opened:
        return Opened(order.id, f"https://links.example/{order.id}")

    @staticmethod
    def notices(text: str) -> Sequence[Notice]:
        return msgspec.json.decode(text, type=list[Notice])


class OrderStore(Process):
    """An order-store of the till's. `payments` makes what it reads the notices of links with."""

    def __init__(
        self,
        till: Till,
        name: str,
        orders: type[Orders],
        payments: Callable[..., LinkPayments],
    ) -> None:
        super().__init__(till.store, till.sessions, till.functions, till.clock, name, orders)
        links = payments("autopay", Links.notices, till.clock)
        sources: Any = {"stripe": till.stripe or till.sessions, "autopay": links}
        counters = Counters(till.store, till.clock)
        parts = (self.orders, self.inbox, counters, sources, till.stock, till.catalogue, till.clock)
        self.intake = Intake(*parts, random.Random(name))


class Till:
    """One shop, whose clock stands still until a test moves it. `stripe` is a real one instead of `Sessions`."""

    def __init__(self, store: Store, text: str = SHOP, stripe: StripePayments | None = None) -> None:
        self.store, self.clock, self.functions, self.stripe = store, Clock(), Functions(), stripe
        self.sessions, shop = Sessions(), catalogue(text)
        self.catalogue: Callable[[], Catalogue] = lambda: shop
        self.stock = Stock(store, self.catalogue, self.clock)
        self.orders = Orders(store)
        self._keys = count(1)
        ways: Any = {"stripe": StripeCheckout(stripe) if stripe else self.sessions, "autopay": Links()}
        self.checkout = Checkout(
            self.orders,
            self.stock,
            Locks(store, self.clock),
            ways,
            self.catalogue,
            lambda: "https://shop.example",
            self.clock,
            lambda: f"key-{next(self._keys)}",
            livemode=False,
        )
        self.process = self.another("a")

    def another(
        self, name: str, orders: type[Orders] = Orders, payments: Callable[..., LinkPayments] = LinkPayments
    ) -> OrderStore:
        """One more order-store on the same database."""
        return OrderStore(self, name, orders, payments)

    def begin(self, *skus: str, pay: str = "stripe", token: str = TOKEN, **more: Any) -> Begun:
        """One of each, by somebody who says their name and address."""
        sent = {"token": token, "pay": pay, "email": MAIL, "name": "Ann", **more}
        items = [{"sku": sku.partition(" ")[0], "options": _size(sku)} for sku in skus or ("course",)]
        return self.checkout.begin(msgspec.convert({"items": items} | sent, Cart))

    def order(self, begun: Begun) -> Order:
        return self.orders.require(begun.order_id)

    def pay(self, begun: Begun) -> None:
        """The session is paid, and the event about it is lost."""
        self.sessions.money[f"cs_{begun.order_id}"] = "paid"

    def leave(self, begun: Begun) -> None:
        """The buyer never comes back, and Stripe ends the session."""
        self.sessions.money[f"cs_{begun.order_id}"] = "expired"

    def due(self) -> list[tuple[str, str]]:
        """(when, order) of what sweeps will find, to the end of all time."""
        return self.orders.due(NEVER, 100)

    def notice(
        self,
        order_id: str,
        status: str,
        reference: str = "R1",
        *,
        amount: int = 4900,
        currency: str = "EUR",
        at: Instant | None = "2026-11-21T07:50:00.000Z",
    ) -> InboxEvent:
        """A notice about a link, as it lies in the inbox once it was received."""
        said = Notice(order_id=order_id, reference=reference, status=status, amount=amount, currency=currency, at=at)
        event_id, now = f"{order_id}.{reference}.{status}", self.clock.instant()
        return InboxEvent(
            id=f"autopay:{event_id}",
            source="autopay",
            event_id=event_id,
            type=f"payment.{status}",
            object_type="payment",
            object_id=order_id,
            received_at=now,
            due_at=now,
            body=msgspec.json.encode([said]).decode(),
        )

    def hear(self, event: InboxEvent) -> None:
        """The event arrives and is worked on; again it changes nothing."""
        self.process.inbox.add(event)
        self.process.handle(event.id)

    def until(self, instant: Instant) -> None:
        """The time has come, and a sweep does what is due."""
        self.clock.now = max(self.clock.now, datetime.fromisoformat(instant))
        self.process.sweep()

    def mails(self) -> list[str]:
        """Which mail of which order was sent, as often as it was sent."""
        return sorted(key for key, times in self.functions.effects.items() for _ in range(times))


def _size(sku: str) -> dict[str, str]:
    """`apron S` is an apron in that size."""
    size = sku.partition(" ")[2]
    return {"Size": size} if size else {}
