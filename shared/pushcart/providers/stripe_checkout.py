"""Opens a Stripe Checkout Session for an order that is stored already.

Every request carries an idempotency key made from the order's id, so that a repetition within a day finds the first
session instead of making another.
https://docs.stripe.com/api/checkout/sessions/create, https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

from typing import Any

import msgspec

from pushcart.clock import from_instant
from pushcart.domain import money
from pushcart.domain.cart import Rules
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.order import Intent, Line, Order
from pushcart.domain.selling import ShippingRate
from pushcart.errors import CartRefused, ProviderRefused
from pushcart.providers.stripe_payments import ITEM_KEY, OPTIONS_KEY, ORDER_KEY, SKU_KEY, StripePayments
from pushcart.providers.ways import Opened, cancelled_url, thank_you_url

#: https://docs.stripe.com/js/appendix/supported_locales
LOCALES = frozenset(
    "bg cs da de el en en-GB es es-419 et fi fil fr fr-CA hr hu id it ja ko lt lv ms mt nb nl pl pt pt-BR ro ru sk sl "
    "sv th tr vi zh zh-HK zh-TW".split()
)

#: Letters in a value of metadata: https://docs.stripe.com/metadata#data
LONGEST_NOTE = 500


class StripeCheckout:
    """The way to pay called `stripe`; implements `providers.ways.Way`."""

    #: Stripe takes every currency we know, and asks for address and name on its own page.
    rules = Rules()

    def __init__(self, payments: StripePayments) -> None:
        self._payments = payments

    def open(self, order: Order, catalogue: Catalogue, site: str) -> Opened:
        """The session's id and address. Raises the `ProviderError`s, and `CartRefused`."""
        assert order.intent is not None
        coupon = self._coupon(order, order.intent) if order.intent.amount_discount else None
        params = session_params(order, order.intent, catalogue, site, coupon)
        options: Any = {"idempotency_key": _key(order, "checkout")}
        try:
            session = self._payments.ask(lambda client: client.v1.checkout.sessions.create(params, options).to_dict())
        except ProviderRefused as error:
            raise _buyers_own(error) or error from None
        return Opened(session["id"], session["url"])

    def _coupon(self, order: Order, intent: Intent) -> str:
        """Our own discount as a coupon for this one order: Stripe's totals then say what was taken off."""
        params: Any = {
            "id": order.id,
            "name": (intent.code or "Discount")[:40],
            "amount_off": intent.amount_discount,
            "currency": intent.currency.lower(),
            "duration": "once",
            "max_redemptions": 1,
        }
        options: Any = {"idempotency_key": _key(order, "coupon")}
        try:
            self._payments.ask(lambda client: client.v1.coupons.create(params, options).to_dict())
        except ProviderRefused as error:
            if error.details.get("reason") != "resource_already_exists":
                raise
        return order.id


def _key(order: Order, what: str) -> str:
    """The same at each try, but another once Stripe has answered with an error of its own, which it would repeat.

    https://docs.stripe.com/api/idempotent_requests
    """
    failures = order.intent.failures if order.intent else 0
    return f"{order.id}.{what}" + (f"-{failures}" if failures else "")


def _buyers_own(error: ProviderRefused) -> CartRefused | None:
    """What Stripe refuses for the cart's sake, and not for the shop's. https://docs.stripe.com/error-codes"""
    if error.details.get("field") == "customer_email":
        text = "This mail address is not taken at the payment page; is it written right?"
        return CartRefused([{"code": "bad_email", "message": text, "field": "email"}])
    if error.details.get("reason") in ("amount_too_small", "amount_too_large"):
        return CartRefused([{"code": str(error.details["reason"]), "message": error.message}])
    return None


def session_params(order: Order, intent: Intent, catalogue: Catalogue, site: str, coupon: str | None) -> Any:
    """What the session is made with: the catalogue's prices, the order's id, and where the buyer comes back to."""
    settings = catalogue.checkout
    assert intent.expires_at is not None
    params: dict[str, Any] = {
        "mode": "payment",
        "line_items": [_line(line, settings.automatic_tax) for line in intent.lines],
        "success_url": thank_you_url(site, order),
        "cancel_url": cancelled_url(site),
        "expires_at": int(from_instant(intent.expires_at).timestamp()),
        "client_reference_id": order.id,
        "metadata": {ORDER_KEY: order.id},
        "payment_intent_data": {"metadata": {ORDER_KEY: order.id}},
        "locale": stripe_locale(order.buyer.locale),
    }
    if order.buyer.email:
        params["customer_email"] = order.buyer.email
    if settings.automatic_tax:
        params["automatic_tax"] = {"enabled": True}
    if coupon:
        params["discounts"] = [{"coupon": coupon}]
    elif settings.promotion_codes:
        params["allow_promotion_codes"] = True  # Stripe takes one or the other
    if settings.shipping and any((sold := catalogue.product(line.sku)) and sold.ships for line in intent.lines):
        params["shipping_address_collection"] = {"allowed_countries": settings.shipping.countries}
        rates = [_rate(rate, intent.currency, settings.automatic_tax) for rate in settings.shipping.rates]
        params["shipping_options"] = [{"shipping_rate_data": rate} for rate in rates]
    return params


def _line(line: Line, tax: str | None) -> dict[str, Any]:
    noted = {SKU_KEY: line.sku, ITEM_KEY: line.id}
    options = msgspec.json.encode(line.options).decode()
    if line.options and len(options) <= LONGEST_NOTE:
        noted[OPTIONS_KEY] = options
    price: dict[str, Any] = {
        "currency": str(line.unit_currency).lower(),
        "unit_amount": line.unit_amount,
        "product_data": {"name": line.name[:250], "metadata": noted},
    }
    if tax:
        price["tax_behavior"] = tax
    return {"quantity": line.quantity, "price_data": price}


def _rate(rate: ShippingRate, currency: str, tax: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "type": "fixed_amount",
        "display_name": rate.name,
        "fixed_amount": {"amount": money.to_minor(rate.price, currency), "currency": currency.lower()},
    }
    if tax:
        data["tax_behavior"] = tax
    return data


def stripe_locale(tag: str | None) -> str:
    """The language of Stripe's page for a BCP 47 tag: the tag itself, its language alone, or the browser's."""
    language = (tag or "").partition("-")[0]
    return next((known for known in (tag, language) if known in LOCALES), "auto")
