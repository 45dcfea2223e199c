"""One shop that sells prints, for tests of catch-up and recovery: its store, and what works on it without HTTP."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from pushcart.domain import payment
from pushcart.domain.order import Order
from pushcart.domain.parcels import PrintFacts
from pushcart.providers import printful
from pushcart.repositories import Counters, Cursors, Inbox, Orders
from pushcart.services.alerts.incidents import Incident, Incidents
from pushcart.services.catchup.prints import PrintCatchUp
from pushcart.services.intake import Intake
from pushcart.services.prints import Prints
from pushcart.services.recovery.findings import Finding
from pushcart.services.recovery.payments import PaymentsPhase
from pushcart.services.recovery.prints import PrintsPhase
from pushcart.services.recovery.repairs import Repairs
from pushcart.services.recovery.slices import Recovery
from pushcart.services.recovery.startup import StartUp
from pushcart.services.stock import Stock
from pushcart.store import Store
from support.listings import NOW_UNIX, Printful, Sold, Stripe
from support.processes import NEVER, Clock
from support.shop import NOW, catalogue, line

SHOP = """
shop:
  name: Test Shop
  url: https://shop.example
  currency: EUR
  support: help@shop.example
  sender: shop@shop.example
  admins: [owner@shop.example]
stripe:
  ignore: [plink_other]
every_order:
  on_parcel:
    - {step: email, template: your-parcel}
products:
  - sku: mug
    name: Mug
    price: 12.00
    ships: true
    stripe: {price: price_mug}
    fulfilment:
      - {step: print, variant: 4011}
"""

CATALOGUE = catalogue(SHOP)


def mug(number: int, ago: int = 3600, **more: Any) -> Sold:
    """A mug that was paid for, without any event that told of it."""
    return Sold(number, ago, lines=lambda: [line(price="price_mug", amount=1200)], **more)


class Shop:
    """Everything on one store; `taken` is up to when Stripe's events are in the inbox."""

    def __init__(self, store: Store, stripe: Stripe, printer: Printful | None = None) -> None:
        self.store, self.stripe, self.printer = store, stripe, printer or Printful()
        self.clock = Clock()
        self.orders, self.inbox, self.cursors = Orders(store), Inbox(store), Cursors(store)
        self.incidents = Incidents(store, self.clock)
        self.taken: Callable[[], int] = lambda: NOW_UNIX
        self.seconds = 0.0
        self.shop: Any = CATALOGUE

    def order(self, sold: Sold) -> Order:
        """The order that this payment makes, stored."""
        order = Order(id=sold.noted or sold.order_id, created_at=sold.facts().created_at, updated_at=NOW)
        payment.update(order, sold.facts(), CATALOGUE, NOW, "checkout.session.completed")
        self.orders.add(order)
        return order

    def apply(self) -> list[str]:
        """What order-store makes of the inbox; the ids of the orders that changed."""
        prints = Prints(self.orders, self.printer, printful.news, lambda: CATALOGUE, self.clock)
        counters, stock = Counters(self.store, self.clock), Stock(self.store, lambda: CATALOGUE, self.clock)
        parts: Any = (self.orders, self.inbox, counters, {"stripe": self.stripe}, stock, lambda: CATALOGUE, self.clock)
        intake = Intake(*parts, random.Random(0), others={"printful": prints.apply})
        changed = []
        while due := self.inbox.due(NEVER, 500):
            changed += [id for _, event in due if (id := intake.apply(event))]
        return changed

    def prints(self) -> PrintCatchUp:
        parts: Any = (self.printer, self.inbox, self.orders, self.cursors, self.incidents, self.clock)
        return PrintCatchUp(*parts, lambda: self.taken())

    def recovery(self, repairs: Repairs | None = None) -> Recovery:
        """As catch-up puts it together. Each look at the time takes `seconds`."""
        repairs = repairs or Repairs(self.inbox, self.clock)
        stripe: Any = self.stripe
        payments = PaymentsPhase(stripe, stripe, self.store, repairs, lambda: self.shop, self.clock, livemode=False)
        prints = PrintsPhase(self.printer, self.store, repairs, self.clock)
        now = iter(range(10**9))
        return Recovery(
            self.store, {"payments": payments, "prints": prints}, self.clock, lambda: self.seconds * next(now)
        )

    def recover(self, *, apply: bool = False, seconds: float = 1000) -> list[Finding]:
        """All slices of one recovery."""
        found, cursor = [], None
        while True:
            part = self.recovery().slice(cursor, seconds, apply=apply)
            found += part.findings
            cursor = part.cursor
            if cursor is None:
                return found

    def start_up(self) -> StartUp:
        return StartUp(self.recovery, self.cursors, self.incidents, self.clock)

    def told(self) -> list[Incident]:
        return self.incidents.open()


def here(order: Order, facts: PrintFacts) -> str:
    """What the order says of this print."""
    return next((one.status for one in order.prints if one.number == facts.number), "unknown")
