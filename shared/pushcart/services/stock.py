"""How many of each product are left: what checkouts hold for a while, and what was sold.

One document for each product with a limit, changed by conditional writes alone. It lists the orders that hold or
bought pieces, so that each counts once however often it is looked at; it cannot grow beyond the stock itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from pushcart.clock import Clock, Instant, later, to_instant
from pushcart.domain.catalogue import Catalogue, choice
from pushcart.domain.order import Line, Order, PaymentStatus
from pushcart.domain.payment import RECEIVED
from pushcart.store import Store

COLLECTION = "stock"

#: Seconds a hold outlives the moment its order is looked at again, which is what ends or prolongs it.
GRACE = 3600

#: So many left are worth a word to the buyer.
FEW = 5

#: Seconds for which a page may be told what few are left of without looking again.
FRESH = 5

Pieces = dict[str, int]


class Held(msgspec.Struct):
    """What one order has of a product, by choice; `until` is None once it was sold.

    `over` is what of a sale went beyond the stock. It is kept, so that whoever looks again is told the same.
    `cart` names the cart a hold is for: a buyer who goes back and changes it gets its pieces again, unless it is
    `firm`, as their money may be on its way.
    """

    pieces: Pieces
    until: Instant | None = None
    over: Pieces = {}
    cart: str = ""
    firm: bool = False

    def same_as(self, other: Held) -> bool:
        return all(getattr(self, name) == getattr(other, name) for name in ("pieces", "until", "cart", "firm"))


class Sheet(msgspec.Struct, kw_only=True):
    """The document of one product; `id` is its sku."""

    id: str
    version: int = 0
    orders: dict[str, Held] = {}

    def taken(self, choice: str) -> int:
        """How many of a choice are held or sold."""
        return sum(held.pieces.get(choice, 0) for held in self.orders.values())

    def over(self, choice: str) -> int:
        """How many of a choice were sold beyond the stock."""
        return sum(held.over.get(choice, 0) for held in self.orders.values())


class Short(msgspec.Struct):
    """Something of which fewer are left than were asked for."""

    sku: str
    choice: str
    left: int


class Stock:
    """Holds, sales and what is left. `catalogue` gives how many there are to sell in all."""

    def __init__(self, store: Store, catalogue: Callable[[], Catalogue], clock: Clock) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._gone: tuple[Instant, dict[str, Any]] | None = None

    def hold(self, order_id: str, lines: Iterable[Line], until: Instant, cart: str = "") -> list[Short]:
        """Holds what the lines need until `until`, all or nothing; what is short, or an empty list.

        It replaces what the same order held of these products, and what an order of the same `cart` did that is not
        paid, and whose money is not on its way either.
        """
        wanted = {sku: Held(pieces, until, cart=cart) for sku, pieces in self._wanted(lines).items()}
        short = [one for sku, held in wanted.items() for one in self._lacking(sku, order_id, held)]
        if short:
            return short
        for sku, held in wanted.items():
            short = self._put(sku, order_id, held, limited=True)
            if short:  # somebody was quicker
                self.release(order_id, wanted)
                return short
        return []

    def follow(self, order: Order) -> list[Short]:
        """Makes the stock say what the order says: held, sold or given back; what was sold beyond the stock."""
        over: list[Short] = []
        for sku, pieces in self._wanted(order.lines).items():
            if order.payment_status in RECEIVED:
                over += self._put(sku, order.id, Held(pieces), limited=False)
            elif order.check_at and order.payment_status is not PaymentStatus.EXPIRED:
                firm = order.payment_status is not PaymentStatus.FAILED
                self._put(sku, order.id, Held(pieces, later(order.check_at, GRACE), firm=firm), limited=False)
            else:
                self._put(sku, order.id, None, limited=False)
        return over

    def release(self, order_id: str, skus: Iterable[str]) -> None:
        """Gives back what the order holds of these products."""
        for sku in skus:
            self._put(sku, order_id, None, limited=False)

    def listing(self) -> list[dict[str, Any]]:
        """What the owner sees: `{"sku", "name", "choice", "stock", "sold", "held", "left"}` for each limited choice."""
        now, rows = to_instant(self._clock()), []
        for product in self._catalogue().products:
            if product.stock is None:
                continue
            sheet = _current(self._sheet(product.sku), now)
            limits = product.stock if isinstance(product.stock, dict) else {"": product.stock}
            for name, limit in limits.items():
                sold = sum(held.pieces.get(name, 0) for held in sheet.orders.values() if held.until is None)
                taken = sheet.taken(name)
                row = {"sku": product.sku, "name": product.name, "choice": name, "stock": limit, "sold": sold}
                rows.append({**row, "held": taken - sold, "left": max(limit - taken, 0)})
        return rows

    def nearly_gone(self) -> dict[str, Any]:
        """What few are left of, for the shop's pages: `{"mug": 2, "studio-apron": {"S": 3, "L": 0}}`.

        A few seconds old at most: every view of a page asks.
        """
        now = to_instant(self._clock())
        if self._gone is None or not self._gone[0] <= now < later(self._gone[0], FRESH):
            self._gone = now, self._count_gone()
        return self._gone[1]

    def _count_gone(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for row in self.listing():
            if row["left"] <= FEW:
                if row["choice"]:
                    found.setdefault(row["sku"], {})[row["choice"]] = row["left"]
                else:
                    found[row["sku"]] = row["left"]
        return found

    def _wanted(self, lines: Iterable[Line]) -> dict[str, Pieces]:
        """By sku and choice, what the lines need of products with a limit."""
        catalogue, wanted = self._catalogue(), {}
        for line in lines:
            product = catalogue.product(line.sku)
            if product is None or product.stock is None:
                continue
            name = choice(line.options) if isinstance(product.stock, dict) else ""
            if isinstance(product.stock, dict) and name not in product.stock:
                continue
            wanted.setdefault(product.sku, Counter())[name] += line.quantity
        return {sku: dict(pieces) for sku, pieces in wanted.items()}

    def _sheet(self, sku: str) -> Sheet:
        found = self._store.get(COLLECTION, sku)
        return Sheet(id=sku) if found is None else msgspec.convert(found, Sheet)

    def _put(self, sku: str, order_id: str, held: Held | None, *, limited: bool) -> list[Short]:
        """Writes what one order has of a product; what is short. With `limited` nothing is written then."""
        while True:
            sheet = self._sheet(sku)
            before = sheet.orders.get(order_id)
            if held is None and before is None:
                return []
            if held and held.until and not limited:
                if before is None and not held.firm:  # another order of its cart has taken the pieces over
                    return []
                held.cart = before.cart if before else ""
            if held and before and held.same_as(before):
                return [Short(sku, name, 0) for name in before.over]
            self._make_room(sheet, order_id, held.cart if held and limited else "")
            short: list[Short] = []
            if held:
                short = self._short(sheet, held, limited=limited)
                if short and limited:
                    return short
                sheet.orders[order_id] = held
            if self._save(sheet):
                return short

    def _lacking(self, sku: str, order_id: str, held: Held) -> list[Short]:
        """What `_put` would find short; nothing is written."""
        sheet = self._sheet(sku)
        before = sheet.orders.get(order_id)
        if before and held.same_as(before):
            return []
        self._make_room(sheet, order_id, held.cart)
        return self._short(sheet, held, limited=True)

    def _make_room(self, sheet: Sheet, order_id: str, cart: str) -> None:
        """Takes off the sheet what has run out, what this order had, and what others have in the name of `cart`."""
        sheet.orders = {
            id: one
            for id, one in _current(sheet, to_instant(self._clock())).orders.items()
            if id != order_id and (one.firm or not cart or one.cart != cart)
        }

    def _short(self, sheet: Sheet, held: Held, *, limited: bool) -> list[Short]:
        """What is short for `held`, which the sheet does not list yet; what a sale goes beyond is noted in it.

        What an earlier sale went beyond the stock was told with that one.
        """
        product, short, held.over = self._catalogue().product(sheet.id), [], {}
        for name, count in held.pieces.items():
            limit = product.limit(name) if product else None
            if limit is None or (held.until and not limited):
                continue
            left = limit - sheet.taken(name) + (0 if limited else sheet.over(name))
            if count > left:
                short.append(Short(sheet.id, name, max(left, 0)))
                if not limited:
                    held.over[name] = min(count - left, count)
        return short

    def _save(self, sheet: Sheet) -> bool:
        read, sheet.version = sheet.version, sheet.version + 1
        document = msgspec.to_builtins(sheet)
        return self._store.replace(COLLECTION, document, read) if read else self._store.insert(COLLECTION, document)


def _current(sheet: Sheet, now: Instant) -> Sheet:
    """The sheet without holds that have run out."""
    sheet.orders = {id: held for id, held in sheet.orders.items() if held.until is None or held.until > now}
    return sheet
