"""Stripe and Printful as a catch-up and a recovery see them: lists by pages, newest first, and single objects.

What they hold is the truth, whether any event told of it or not. Both can be used up (`allowed`), and each call is a
moment at which a test may let the process die.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

from pushcart.clock import from_instant, from_timestamp
from pushcart.domain.parcels import Costs, Parcel, ParcelItem, PrintFacts
from pushcart.domain.payment import PaymentFacts
from pushcart.errors import ProviderBusy
from pushcart.providers.printful import Page
from pushcart.providers.stripe_listing import Listed, ListedEvent, ListedSession
from support.processes import Provider, Purchase
from support.shop import NOW

#: `support.shop.NOW` in Unix seconds.
NOW_UNIX = int(from_instant(NOW).timestamp())


class Sold(Purchase):
    """A purchase that was paid `ago` seconds before NOW, through a checkout of ours when it is `noted` with an id."""

    def __init__(self, number: int, ago: int = 3600, *, noted: str | None = None, **more: Any) -> None:
        super().__init__(number, **more)
        self.number, self.created, self.noted = number, NOW_UNIX - ago, noted
        self.money, self.mode, self.livemode, self.link = "paid", "payment", False, None

    def facts(self) -> PaymentFacts:
        return msgspec.structs.replace(
            super().facts(),
            created_at=from_timestamp(self.created),
            order_id=self.noted,
            livemode=self.livemode,
            payment_link=self.link,
        )

    def listed(self) -> ListedSession:
        return ListedSession(
            id=self.session_id,
            created=self.created,
            mode=self.mode,
            paid=self.received,
            currency="EUR",
            amount_total=self.total,
            livemode=self.livemode,
            payment_link=self.link,
            order_id=self.noted,
            refunded=sum(self.refunds) if self.money == "paid" else None,
            disputed=self.dispute is not None if self.money == "paid" else None,
        )

    def told(self, type: str = "checkout.session.completed", created: int | None = None) -> tuple[int, str, bytes]:
        """An event about it, as Stripe lists it: when, its id, and its JSON."""
        id, at = f"evt_{self.number}_{type.rpartition('.')[2]}", created or self.created
        object = {"id": self.session_id, "object": "checkout.session", "payment_intent": self.intent}
        event = {"id": id, "object": "event", "type": type, "livemode": self.livemode, "created": at}
        return at, id, json.dumps({**event, "data": {"object": object}}).encode()


class _Limited:
    """Counts calls; `allowed` is how many more there may be, or None. `moment` comes before and after each answer."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.allowed: int | None = None
        self.calls = 0
        self.moment: Callable[[], None] = lambda: None

    def call(self) -> None:
        self.calls += 1
        if self.allowed is not None:
            if self.allowed == 0:
                raise ProviderBusy(self._name, "its rate limit is reached", status=429, retry_after=30)
            self.allowed -= 1
        self.moment()


class Stripe(Provider):
    """As `StripeListing` and `StripePayments` show it, `size` objects to a page."""

    def __init__(self, *sold: Sold, size: int = 100) -> None:
        super().__init__(sold)
        self.told: list[tuple[int, str, bytes]] = [one.told() for one in sold]
        self.limit = _Limited("Stripe")
        self._size = size

    def add(self, sold: Sold, *, told: bool = True) -> Sold:
        self.purchases[sold.session_id] = sold
        if told:
            self.told.append(sold.told())
        return sold

    def events(self, types: Any, since: int, until: int, after: str | None = None) -> Listed:
        found = sorted((one for one in self.told if since <= one[0] <= until), reverse=True)
        return self._page([ListedEvent(id, body) for _, id, body in found], after)

    def sessions(
        self, *, since: int | None = None, until: int | None = None, after: str | None = None, charges: bool = False
    ) -> Listed:
        sold: list[Any] = list(self.purchases.values())
        found = [one.listed() for one in sold if (since or 0) <= one.created and (until is None or one.created < until)]
        return self._page(sorted(found, key=lambda one: (one.created, one.id), reverse=True), after)

    def session(self, session_id: str) -> ListedSession | None:
        self.limit.call()
        sold: Any = self.purchases.get(session_id)
        return sold.listed() if sold else None

    def _page(self, found: list[Any], after: str | None) -> Listed:
        self.limit.call()
        ids = [one.id for one in found]
        start = ids.index(after) + 1 if after else 0
        page = found[start : start + self._size]
        self.limit.moment()
        return Listed(page, page[-1].id if start + self._size < len(found) else None)

    def _answer(self) -> None:
        super()._answer()
        self.limit.call()


class Printful:
    """As `providers.printful.Printful` shows it."""

    def __init__(self, *orders: PrintFacts) -> None:
        self.orders = list(orders)
        self.limit = _Limited("Printful")
        self.asked: list[str] = []

    def page(self, offset: int, limit: int = 100) -> Page:
        self.limit.call()
        found = sorted(self.orders, key=lambda one: (one.created_at, one.number), reverse=True)
        page = [_copy(one) for one in found[offset : offset + limit]]
        self.limit.moment()
        return Page(items=page, total=len(found))

    def order(self, reference: str) -> PrintFacts | None:
        self.limit.call()
        self.asked.append(reference)
        name = reference.removeprefix("@")
        return next((_copy(one) for one in self.orders if name in (one.number, one.external_id)), None)


def printed(
    number: int, external_id: str | None, status: str = "pending", *, ago: int = 3000, parcels: int = 0
) -> PrintFacts:
    """An order at Printful that was made `ago` seconds before NOW."""
    at = from_timestamp(NOW_UNIX - ago)
    items = [ParcelItem(name="Mug", quantity=1)]
    sent = [
        Parcel(provider="printful", id=f"{number}{one}", carrier="DHL", shipped_at=at, items=items)
        for one in range(parcels)
    ]
    costs = Costs(currency="USD", subtotal=800, shipping=400, tax=90, total=1290)
    return PrintFacts(
        number=str(number),
        external_id=external_id,
        status=status,
        created_at=at,
        updated_at=at,
        costs=costs,
        parcels=sent,
    )


def _copy(facts: PrintFacts) -> PrintFacts:
    return msgspec.convert(msgspec.to_builtins(facts), PrintFacts)
