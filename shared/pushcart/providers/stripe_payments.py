"""Reads payments from Stripe through the official SDK, at the API version the SDK pins.

One purchase costs one request: the Checkout Session with its line items and its charge expanded.
https://docs.stripe.com/api/checkout/sessions/retrieve
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
import stripe

from pushcart.clock import from_timestamp
from pushcart.domain.order import Address, Buyer, Dispute, Line, Shipping
from pushcart.domain.payment import PaymentFacts
from pushcart.domain.retry import LONGEST_WAIT
from pushcart.errors import ProviderBusy, ProviderError, ProviderRefused, ProviderUnavailable, is_permanent

stripe.enable_telemetry = False

T = TypeVar("T")
Json = dict[str, Any]

#: The session's parts that are read in the same request.
EXPAND = ["line_items.data.price.product", "payment_intent.latest_charge"]

#: Where our checkout notes the order's id, and the sku of a line it made up itself.
ORDER_KEY = "pushcart_order"
SKU_KEY = "pushcart_sku"

#: Seconds to wait for a rate limit that does not say how long; Stripe counts by the second.
BUSY_WAIT = 2


def order_id(session_id: str) -> str:
    """The id of the order that a Checkout Session becomes: 28 characters that fit every provider's limits.

    Derived, so that however many events of one session arrive at once, they can only make one order.
    """
    digest = hashlib.sha256(session_id.encode()).digest()
    return "o-" + base64.b32encode(digest)[:26].decode().lower()


class StripePayments:
    """`key` gives the API key at each call; `timeout` is in seconds."""

    def __init__(self, url: str, key: Callable[[], str], timeout: float) -> None:
        self._url = url
        self._key = key
        self._http = stripe.RequestsClient(timeout=timeout)
        self._clients: dict[str, stripe.StripeClient] = {}

    def payment(self, session_id: str) -> PaymentFacts | None:
        """What Stripe says now about this Checkout Session; None for one that takes no money (mode `setup`).

        Raises the `ProviderError`s.
        """
        sessions = self._client().v1.checkout.sessions
        session = _call(lambda: sessions.retrieve(session_id, params={"expand": EXPAND})).to_dict()
        if session.get("mode") == "setup":
            return None
        items = session.get("line_items") or {}
        lines = items.get("data") or []
        if items.get("has_more"):
            lines = [line.to_dict() for line in _call(lambda: list(self._line_items(session_id)))]
        charge = _charge(session)
        dispute = self._dispute(charge["id"]) if charge and charge.get("disputed") else None
        return _facts(session, lines, charge, dispute)

    def session_of(self, payment_intent: str | None, charge: str | None) -> str | None:
        """The Checkout Session behind a payment, or None when it came about in another way (not this shop's)."""
        if payment_intent is None and charge is not None:
            read = _call(lambda: self._client().v1.charges.retrieve(charge)).to_dict()
            payment_intent = _id(read.get("payment_intent"))
        if payment_intent is None:
            return None
        sessions = self._client().v1.checkout.sessions
        found = _call(lambda: sessions.list(params={"payment_intent": payment_intent, "limit": 1}))
        return found.data[0].id if found.data else None

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

    def _dispute(self, charge_id: str) -> Json | None:
        found = _call(lambda: self._client().v1.disputes.list(params={"charge": charge_id, "limit": 1}))
        return found.data[0].to_dict() if found.data else None


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
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # The SDK builds objects from whatever JSON came; an answer that is none of Stripe's breaks it there.
        raise ProviderUnavailable("Stripe", f"an answer that cannot be read ({type(error).__name__})") from error


def _ours(error: stripe.StripeError) -> ProviderError:
    status = error.http_status
    if isinstance(error, stripe.APIConnectionError) or status is None:
        return ProviderUnavailable("Stripe", "could not be reached")
    message = error.user_message or f"HTTP {status}"
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return ProviderRefused("Stripe", f"{message} Check the secret stripe-api-key.", status=status)
    if is_permanent(status):
        return ProviderRefused("Stripe", message, status=status)
    return ProviderUnavailable("Stripe", message, status=status, retry_after=_wait(error))


def _wait(error: stripe.StripeError) -> float | None:
    """Seconds until Stripe wants to be asked again, if it says so."""
    value = (error.headers or {}).get("Retry-After", "")
    return min(float(value), LONGEST_WAIT) if value.isdecimal() else None


def _id(value: Any) -> str | None:
    """An object's id, whether it was expanded or not."""
    return value.get("id") if isinstance(value, dict) else value


def _charge(session: Json) -> Json | None:
    intent = session.get("payment_intent")
    charge = intent.get("latest_charge") if isinstance(intent, dict) else None
    return charge if isinstance(charge, dict) else None


def _money(session: Json) -> Any:
    """https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-payment_status"""
    if session["payment_status"] != "unpaid":
        return session["payment_status"]
    if session["status"] == "expired":
        return "expired"
    intent = session.get("payment_intent")
    status = intent.get("status") if isinstance(intent, dict) else None
    # A delayed payment that failed leaves the session complete and unpaid, and its intent without a method.
    if session["status"] == "complete" and status in ("requires_payment_method", "canceled"):
        return "failed"
    return "unpaid"


def _facts(session: Json, lines: list[Json], charge: Json | None, dispute: Json | None) -> PaymentFacts:
    intent = session.get("payment_intent")
    received = intent.get("amount_received") if isinstance(intent, dict) else None
    total = session.get("total_details") or {}
    try:
        money = _money(session)
        facts = PaymentFacts(
            provider="stripe",
            session_id=session["id"],
            created_at=from_timestamp(session["created"]),
            money=money,
            currency=session["currency"].upper(),
            amount_subtotal=session["amount_subtotal"],
            amount_total=session["amount_total"],
            amount_discount=total.get("amount_discount") or 0,
            amount_tax=total.get("amount_tax") or 0,
            amount_shipping=total.get("amount_shipping") or 0,
            amount_received=received if money == "paid" else None,
            amount_refunded=charge["amount_refunded"] if charge else 0,
            paid_at=from_timestamp(charge["created"]) if charge and charge.get("paid") else None,
            order_id=(session.get("metadata") or {}).get(ORDER_KEY),
            payment_intent=_id(intent),
            charge_id=charge["id"] if charge else None,
            payment_link=_id(session.get("payment_link")),
            livemode=session["livemode"],
            dispute=_dispute(dispute) if dispute else None,
            buyer=_buyer(session),
            shipping=_shipping(session),
            lines=[_line(line) for line in lines],
        )
        # Constructing checks no types; a null where an amount belongs must not reach an order.
        return msgspec.convert(msgspec.to_builtins(facts), PaymentFacts)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ProviderUnavailable("Stripe", f"an answer that cannot be read ({error!r})") from error


def _dispute(dispute: Json) -> Dispute:
    due = (dispute.get("evidence_details") or {}).get("due_by")
    return Dispute(
        id=dispute["id"],
        status=dispute["status"],
        reason=dispute.get("reason"),
        amount=dispute["amount"],
        evidence_due=from_timestamp(due) if due else None,
    )


def _buyer(session: Json) -> Buyer:
    details = session.get("customer_details") or {}
    locale = session.get("locale")
    return Buyer(
        email=details.get("email") or session.get("customer_email"),
        name=details.get("name"),
        phone=details.get("phone"),
        locale=None if locale in (None, "auto") else locale,
        address=_address(details.get("address")),
    )


def _shipping(session: Json) -> Shipping | None:
    """Since 2025-03-31 under `collected_information`; before that in `shipping_details`, before that `shipping`."""
    collected = (session.get("collected_information") or {}).get("shipping_details")
    found = collected or session.get("shipping_details") or session.get("shipping")
    address = _address((found or {}).get("address"))
    return Shipping(name=found.get("name"), address=address) if found and address else None


def _address(address: Json | None) -> Address | None:
    if not address:
        return None
    return Address(**{name: address.get(name) for name in Address.__struct_fields__})


def _line(line: Json) -> Line:
    price = line.get("price") or {}
    product = price.get("product")
    metadata = (product.get("metadata") or {}) if isinstance(product, dict) else {}
    return Line(
        id=line["id"],
        name=line.get("description") or (product.get("name") if isinstance(product, dict) else None) or line["id"],
        quantity=line["quantity"] or 1,
        unit_amount=price.get("unit_amount"),
        unit_currency=price["currency"].upper() if price.get("currency") else None,
        amount_subtotal=line["amount_subtotal"],
        amount_discount=line.get("amount_discount") or 0,
        amount_tax=line.get("amount_tax") or 0,
        amount_total=line["amount_total"],
        price_id=price.get("id"),
        product_id=_id(product),
        sku=metadata.get(SKU_KEY),
    )
