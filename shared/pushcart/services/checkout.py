"""From a cart to the place where it is paid: checked and priced, stored as an order, then a session or a link.

The order's id is made from the cart's token and everything in it, so a double click, a retry after a lost answer and
a return by the back button all find the order that is there; a changed cart is another order, and the one before
ends unpaid with its session.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from pushcart.clock import Clock, later, to_instant
from pushcart.crash import Point, point
from pushcart.domain import attention, cart, money, payment, steps
from pushcart.domain.cart import Cart, Quote
from pushcart.domain.catalogue import Catalogue, choice
from pushcart.domain.order import Address, Buyer, Intent, Order, Payment, PaymentStatus, Shipping, derived_id
from pushcart.errors import (
    CartRefused,
    CheckoutBroken,
    ConfigurationError,
    PaymentUnavailable,
    ProviderError,
    ProviderRefused,
    PushcartError,
)
from pushcart.providers.ways import Way, thank_you_url
from pushcart.repositories import Locks, Orders
from pushcart.services.stock import GRACE, Stock
from pushcart.services.ways import Ways

log = logging.getLogger(__name__)

#: Carts with the same token and contents that ended unpaid, before the buyer has to begin a new one.
MOST_ATTEMPTS = 50

#: Seconds after which the same cart, paid for once, is another purchase.
SAME_CART = 86_400

#: Seconds that Stripe wants to be left of a session when it is made, and a minute for the way there.
LEFT_TO_OPEN = 31 * 60


class Begun(NamedTuple):
    """A stored order: its id, the key to ask about it, and where the buyer goes next."""

    order_id: str
    key: str
    url: str


class Checkout:
    """`ways` are the ways to pay by name, `site` gives the shop's public address, `token` makes unguessable text."""

    def __init__(
        self,
        orders: Orders,
        stock: Stock,
        locks: Locks,
        ways: Ways,
        catalogue: Callable[[], Catalogue],
        site: Callable[[], str],
        clock: Clock,
        token: Callable[[], str],
        *,
        livemode: bool,
    ) -> None:
        self._orders = orders
        self._stock = stock
        self._locks = locks
        self._ways = ways
        self._catalogue = catalogue
        self._site = site
        self._clock = clock
        self._token = token
        self._livemode = livemode

    def begin(self, wanted: Cart) -> Begun:
        """Stores the order and opens its payment; or what a repetition of that finds.

        Raises `CartRefused` with every problem, `PaymentUnavailable` when the provider does not answer (the same
        cart can be sent again), `CheckoutBroken` when it refuses, and `StoreUnavailable`.
        """
        catalogue = self._catalogue()
        pay = wanted.pay or catalogue.checkout.pay_with[0]
        if pay not in catalogue.checkout.pay_with:
            known = ", ".join(catalogue.checkout.pay_with)
            message = f"This shop is not paid by {pay!r} but by {known}."
            raise CartRefused([{"code": "unknown_provider", "message": message, "field": "pay"}])
        way = self._ways[pay]
        today = self._clock().astimezone(ZoneInfo(catalogue.shop.timezone)).date().isoformat()
        quote = cart.quote(wanted, catalogue, today, way.rules)
        name = f"checkout {wanted.token or self._token()} {self._digest(wanted, quote, pay)}"
        for attempt in range(MOST_ATTEMPTS):
            order, fresh = self._order(derived_id(f"{name} {attempt}"), wanted, quote, pay)
            if self._paid_lately(order):
                return self._begun(order, thank_you_url(self._site(), order))
            if self._payable(order, way):
                if not fresh:  # a change of the cart may have given its pieces back
                    self._hold(order, wanted.token)
                return self._opened(order, way, catalogue)
        raise CartRefused([{"code": "too_many_attempts", "message": "Empty the cart and fill it again, please."}])

    def _digest(self, wanted: Cart, quote: Quote, pay: str) -> str:
        """Everything that the order and its session would be made of: a provider takes no other under the same key."""
        settings = self._catalogue().checkout
        parts: list[Any] = [
            pay,
            quote.currency,
            [[line.sku, line.options, line.quantity, line.unit_amount] for line in quote.lines],
            [quote.amount_total, quote.code, quote.rate],
            [wanted.email, wanted.name, wanted.locale, wanted.remind, wanted.shipping],
            [settings.shipping, settings.automatic_tax, settings.promotion_codes, self._site()],
        ]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

    def _order(self, order_id: str, wanted: Cart, quote: Quote, pay: str) -> tuple[Order, bool]:
        """The order under this id, and whether it was made just now because there was none."""
        while (order := self._orders.get(order_id)) is None:
            now = self._clock()
            fresh = self._made(order_id, wanted, quote, pay, now)
            self._hold(fresh, wanted.token)
            point(Point.STOCK_HELD)
            if self._orders.add(fresh):
                point(Point.ORDER_STORED)
                return fresh, True
        return order, False

    def _made(self, order_id: str, wanted: Cart, quote: Quote, pay: str, moment: datetime) -> Order:
        now, email = to_instant(moment), (wanted.email or "").strip() or None
        expires_at = later(now, 60 * self._catalogue().checkout.expires_minutes)
        intent = Intent(
            currency=quote.currency,
            amount_subtotal=quote.amount_subtotal,
            amount_discount=quote.amount_discount,
            amount_shipping=quote.amount_shipping,
            lines=quote.lines,
            expires_at=expires_at,
            key=self._token(),
            code=quote.code,
            rate=quote.rate,
            remind=wanted.remind and email is not None,
        )
        order = Order(
            id=order_id,
            created_at=now,
            updated_at=now,
            email=email.lower() if email else None,
            skus=sorted({line.sku for line in quote.lines if line.sku}),
            check_at=payment.checked_at(expires_at),
            intent=intent,
            payment=Payment(
                provider=pay,
                session_id="",
                currency=quote.currency,
                amount_subtotal=quote.amount_subtotal,
                amount_total=quote.amount_total,
                amount_discount=quote.amount_discount,
                amount_shipping=quote.amount_shipping,
                livemode=self._livemode,
            ),
            buyer=Buyer(email=email, name=(wanted.name or "").strip() or None, locale=wanted.locale),
            shipping=_destination(wanted) if quote.rate else None,
            lines=copy.deepcopy(quote.lines),
        )
        order.note(
            now, f"checkout begun, {money.plain(quote.amount_total, quote.currency)} to pay by {pay}", "checkout"
        )
        steps.settle(order, now)
        return order

    def _hold(self, order: Order, token: str | None) -> None:
        """Holds what the order needs. `CartRefused` says what is short."""
        assert order.check_at is not None
        name = hashlib.sha256(token.encode()).hexdigest() if token else ""
        short = self._stock.hold(order.id, order.lines, later(order.check_at, GRACE), name)
        problems = []
        for one in short:
            items = [
                number
                for number, line in enumerate(order.lines)
                if line.sku == one.sku and one.choice in ("", choice(line.options))
            ]
            name = order.lines[items[0]].name
            message = f"{name} is sold out." if one.left == 0 else f"{name}: only {one.left} left."
            problems.append({"code": "sold_out", "message": message, "item": items[0], "left": one.left})
        if problems:
            raise CartRefused(problems)

    def _paid_lately(self, order: Order) -> bool:
        """Whether the same cart again means this order: its money is in since a day at most, or on its way."""
        if order.payment_status is PaymentStatus.UNPAID:
            return order.payment is not None and order.payment.pending
        since = later(to_instant(self._clock()), -SAME_CART)
        return order.payment_status in payment.RECEIVED and (order.paid_at or order.updated_at) > since

    def _payable(self, order: Order, way: Way) -> bool:
        """Whether this order can still be paid; a second try of a session that ended is another order."""
        assert order.intent is not None
        assert order.intent.expires_at is not None
        again = order.payment_status is PaymentStatus.FAILED and way.rules.failed_may_pay
        if order.payment_status is not PaymentStatus.UNPAID and not again:
            return False
        left = 0 if order.intent.url else LEFT_TO_OPEN
        return later(to_instant(self._clock()), left) < order.intent.expires_at

    def _opened(self, order: Order, way: Way, catalogue: Catalogue) -> Begun:
        assert order.intent is not None
        if order.intent.url:
            return self._begun(order, order.intent.url)
        try:
            opened = way.open(order, catalogue, self._site())
        except CartRefused:
            self._stock.release(order.id, order.skus)
            raise
        except (ProviderRefused, ConfigurationError) as error:
            self._tell(order, error)
            raise CheckoutBroken() from error
        except ProviderError as error:
            log.warning("no session for order %s: %s", order.id, error.message)
            if error.status is not None and error.status >= 500:
                self._orders.change(order.id, _count_failure)
            raise PaymentUnavailable(getattr(error, "retry_after", None)) from error
        point(Point.SESSION_CREATED)

        def note(fresh: Order) -> None:
            assert fresh.intent is not None
            if fresh.intent.url is None:
                fresh.session_id, fresh.intent.url = opened.session_id, opened.url
                fresh.updated_at = to_instant(self._clock())

        order = self._orders.change(order.id, note)
        point(Point.SESSION_NOTED)
        assert order.intent is not None
        return self._begun(order, order.intent.url or opened.url)

    def _begun(self, order: Order, url: str) -> Begun:
        assert order.intent is not None
        return Begun(order.id, order.intent.key, url)

    def _tell(self, order: Order, error: PushcartError) -> None:
        """The owner hears of the first checkout a day that a provider refuses; the others say the same."""
        log.error("no session for order %s: %s", order.id, error.message)
        lock = self._locks.acquire("checkout refused", 86_400)
        if lock is None:
            return
        text = f"its buyer could not pay, and others may not either: {error.message}"

        def tell(fresh: Order) -> None:
            now = to_instant(self._clock())
            attention.require(fresh, "checkout_refused", "", text, now)
            steps.settle(fresh, now)

        try:
            self._orders.change(order.id, tell)
        except Exception:
            self._locks.release("checkout refused", lock)
            raise


def _count_failure(order: Order) -> None:
    assert order.intent is not None
    order.intent.failures += 1


def _destination(wanted: Cart) -> Shipping | None:
    sent = wanted.shipping
    if sent is None:
        return None
    fields = {name: (getattr(sent, name) or "").strip() or None for name in Address.__struct_fields__}
    return Shipping(name=sent.name or wanted.name, address=Address(**fields))
