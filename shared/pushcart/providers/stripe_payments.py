"""Reads payments from Stripe through the official SDK, at the API version the SDK pins.

One purchase costs one request: the Checkout Session with its line items and its charge expanded.
https://docs.stripe.com/api/checkout/sessions/retrieve
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import msgspec
import stripe

from pushcart.clock import from_timestamp
from pushcart.config import Config
from pushcart.domain.event import InboxEvent
from pushcart.domain.order import Buyer, Dispute, Line, Order, derived_id
from pushcart.domain.payment import PaymentFacts
from pushcart.domain.retry import LONGEST_WAIT
from pushcart.errors import (
    ProviderBusy,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    ProviderUnreadable,
    is_permanent,
)
from pushcart.providers.stripe_shapes import (
    Charge,
    Customer,
    Disputes,
    Found,
    LineItem,
    PaidBy,
    Price,
    Product,
    Session,
    Totals,
)

stripe.enable_telemetry = False

SECRET = "stripe-api-key"

T = TypeVar("T")
S = TypeVar("S")

#: The session's parts that are read in the same request.
EXPAND = ["line_items.data.price.product", "payment_intent.latest_charge"]

#: Stripe takes up to 100 line items in a session; a list that goes on and on must not keep a worker for ever.
MOST_LINES = 300

#: Where our checkout notes the order's id, and the sku, the number and the choice of a line it made up itself.
ORDER_KEY = "pushcart_order"
SKU_KEY = "pushcart_sku"
ITEM_KEY = "pushcart_item"
OPTIONS_KEY = "pushcart_options"

#: Seconds to wait for a rate limit that does not say how long; Stripe counts by the second.
BUSY_WAIT = 2


def connect(config: Config) -> StripePayments:
    """A client with the function's settings."""
    return StripePayments(config["stripe_url"], partial(config.secret, SECRET), config.number("provider_timeout"))


class StripePayments:
    """`key` gives the API key at each call; `timeout` is in seconds."""

    def __init__(self, url: str, key: Callable[[], str], timeout: float) -> None:
        self._url = url
        self._key = key
        self._http = stripe.RequestsClient(timeout=timeout)
        self._clients: dict[str, stripe.StripeClient] = {}

    def order_id(self, session_id: str) -> str:
        """Derived, so that however many events of one session arrive at once, they can only make one order."""
        return derived_id(session_id)

    def payment(
        self, session_id: str, order: Order | None = None, event: InboxEvent | None = None
    ) -> PaymentFacts | None:
        """What Stripe says now about this Checkout Session; None for one that takes no money (mode `setup`).

        Raises the `ProviderError`s.
        """
        sessions = self._client().v1.checkout.sessions
        session = _call(lambda: sessions.retrieve(session_id, params={"expand": EXPAND}).to_dict())
        if session.get("mode") == "setup":
            return None
        read = _read(session, Session)
        if read.id != session_id:
            raise unreadable(f"asked for {session_id}, got {read.id[:80]}")
        lines = read.line_items.data
        if read.line_items.has_more:
            listed = _call(lambda: [line.to_dict() for line in islice(self._line_items(session_id), MOST_LINES + 1)])
            if not len(lines) <= len(listed) <= MOST_LINES:
                raise unreadable("a list of lines that is shorter than its first page, or has no end")
            lines = _read(listed, list[LineItem])
        charge = _charge(read)
        dispute = self._dispute(charge.id) if charge and charge.disputed else None
        return _facts(read, lines, charge, dispute)

    def session_of(self, payment_intent: str | None, charge: str | None) -> str | None:
        """The Checkout Session behind a payment, or None when it came about in another way (not this shop's)."""
        if payment_intent is None and charge is not None:
            read = _call(lambda: self._client().v1.charges.retrieve(charge).to_dict())
            payment_intent = _read(read, PaidBy).payment_intent
        if payment_intent is None:
            return None
        sessions = self._client().v1.checkout.sessions
        found = _call(lambda: sessions.list(params={"payment_intent": payment_intent, "limit": 1}).to_dict())
        sessions_found = _read(found, Found).data
        return sessions_found[0].id if sessions_found else None

    def ask(self, request: Callable[[stripe.StripeClient], T]) -> T:
        """One request of somebody else's, with the same client and Stripe's errors as ours."""
        return _call(lambda: request(self._client()))

    def _client(self) -> stripe.StripeClient:
        key = self._key()
        if key not in self._clients:
            self._clients = {
                key: stripe.StripeClient(
                    key, base_addresses={"api": self._url}, http_client=self._http, max_network_retries=1
                )
            }
        return self._clients[key]

    def _line_items(self, session_id: str) -> Any:
        params: Any = {"limit": 100, "expand": ["data.price.product"]}
        return self._client().v1.checkout.sessions.line_items.list(session_id, params=params).auto_paging_iter()

    def _dispute(self, charge_id: str) -> Dispute:
        params: Any = {"charge": charge_id, "limit": 1}
        found = _read(_call(lambda: self._client().v1.disputes.list(params=params).to_dict()), Disputes).data
        if not found:
            raise unreadable(f"{charge_id} is disputed, but there is no dispute")
        one = found[0]
        due = one.evidence_details.due_by if one.evidence_details else None
        return Dispute(
            id=one.id,
            status=one.status,
            reason=one.reason,
            amount=one.amount,
            evidence_due=from_timestamp(due) if due else None,
        )


def _call(request: Callable[[], T]) -> T:
    """Runs one request; Stripe's own errors become ours, with Stripe's words.

    https://docs.stripe.com/error-handling
    """
    try:
        return request()
    except stripe.RateLimitError as error:
        wait = _wait(error)
        asked = BUSY_WAIT if wait is None else wait
        raise ProviderBusy("Stripe", "its rate limit is reached", status=429, retry_after=asked) from error
    except stripe.StripeError as error:
        raise _ours(error) from error
    except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        # The SDK builds objects from whatever JSON came; an answer that is none of Stripe's breaks it there.
        raise unreadable(type(error).__name__) from error


def _ours(error: stripe.StripeError) -> ProviderError:
    status = error.http_status
    if isinstance(error, stripe.APIConnectionError) or status is None:
        return ProviderUnavailable("Stripe", "could not be reached")
    message = error.user_message or f"HTTP {status}"
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return ProviderRefused("Stripe", f"{message} Check the secret stripe-api-key.", status=status)
    if is_permanent(status):
        return ProviderRefused("Stripe", message, status=status, reason=error.code, field=getattr(error, "param", None))
    return ProviderUnavailable("Stripe", message, status=status, retry_after=_wait(error))


def _wait(error: stripe.StripeError) -> float | None:
    """Seconds until Stripe wants to be asked again, if it says so."""
    value = (error.headers or {}).get("Retry-After", "")
    return min(float(value), LONGEST_WAIT) if value.isdecimal() else None


def unreadable(why: object) -> ProviderUnreadable:
    """The error for an answer of Stripe's that cannot be what was asked for."""
    return ProviderUnreadable("Stripe", f"an answer that cannot be read ({why})")


def _read(answer: Any, shape: type[S]) -> S:
    """The part of Stripe's answer that we go by; what is missing, null or of another type where it must not be is
    no answer, and has to be asked for again rather than guessed."""
    try:
        # Through JSON, as the store will have it: half a character and numbers beyond 64 bits fail here.
        return msgspec.json.decode(msgspec.json.encode(answer), type=shape)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        raise unreadable(error) from error


def _charge(session: Session) -> Charge | None:
    intent = session.payment_intent
    owes_one = session.mode == "payment" and session.payment_status == "paid" and session.amount_total > 0
    if owes_one and (intent is None or not intent.latest_charge):
        raise unreadable("a paid session without its charge")
    return intent.latest_charge if intent else None


def _money(session: Session) -> Any:
    """https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-payment_status"""
    if session.status == "expired":
        return "expired"
    if session.status == "open":
        return "unpaid"  # a free one says that no payment is required before anybody has taken it
    if session.payment_status != "unpaid":
        return session.payment_status
    status = session.payment_intent.status if session.payment_intent else None
    # A delayed payment that failed leaves the session complete and unpaid, and its intent without a method.
    if session.status == "complete" and status in ("requires_payment_method", "canceled"):
        return "failed"
    return "unpaid"


def _facts(session: Session, lines: list[LineItem], charge: Charge | None, dispute: Dispute | None) -> PaymentFacts:
    intent, total, money = session.payment_intent, session.total_details or Totals(0, 0), _money(session)
    facts = PaymentFacts(
        provider="stripe",
        session_id=session.id,
        created_at=from_timestamp(session.created),
        money=money,
        currency=session.currency.upper(),
        amount_subtotal=session.amount_subtotal,
        amount_total=session.amount_total,
        amount_discount=total.amount_discount,
        amount_tax=total.amount_tax,
        amount_shipping=total.amount_shipping or 0,
        amount_received=intent.amount_received if intent and money == "paid" else None,
        amount_refunded=charge.amount_refunded if charge else 0,
        paid_at=from_timestamp(charge.created) if charge and charge.paid else None,
        order_id=(session.metadata or {}).get(ORDER_KEY),
        payment_intent=intent.id if intent else None,
        charge_id=charge.id if charge else None,
        payment_link=session.payment_link,
        livemode=session.livemode,
        pending=session.status == "complete" and money == "unpaid",
        dispute=dispute,
        buyer=_buyer(session),
        shipping=session.sent_to(),
        lines=[_line(line) for line in lines],
    )
    return _read(facts, PaymentFacts)


def _buyer(session: Session) -> Buyer:
    details = session.customer_details or Customer()
    return Buyer(
        email=details.email or session.customer_email,
        name=details.name,
        phone=details.phone,
        locale=None if session.locale == "auto" else session.locale,
        address=details.address,
    )


def _line(line: LineItem) -> Line:
    price = line.price or Price()
    product = price.product if isinstance(price.product, Product) else None
    noted = (product.metadata or {}) if product else {}
    return Line(
        id=line.id,
        name=line.description or (product.name if product else None) or line.id,
        quantity=line.quantity or 1,
        unit_amount=price.unit_amount,
        unit_currency=price.currency.upper() if price.currency else None,
        amount_subtotal=line.amount_subtotal,
        amount_discount=line.amount_discount,
        amount_tax=line.amount_tax,
        amount_total=line.amount_total,
        price_id=price.id,
        product_id=product.id if product else price.product,
        sku=noted.get(SKU_KEY),
        item=noted.get(ITEM_KEY),
        options=_options(noted.get(OPTIONS_KEY)),
    )


def _options(noted: Any) -> dict[str, str]:
    """What the buyer chose, as our checkout noted it: all there is of it when the order itself was lost."""
    try:
        return msgspec.json.decode(noted or "{}", type=dict[str, str])
    except (msgspec.DecodeError, TypeError):
        return {}
