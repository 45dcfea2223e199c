"""What the doctor asks Stripe: the key and its rights, the clock, the webhook endpoint, prices and payment links.

Nothing here changes anything. A restricted key needs to read only what an order is read from; what it may not
look at besides is a warning, not a failure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import stripe

from pushcart.doctor import Check, Probe, failed, run, skew
from pushcart.domain import money
from pushcart.domain.catalogue import Catalogue, Product
from pushcart.errors import ProviderBusy, ProviderError, ProviderRefused
from pushcart.providers.stripe_payments import StripePayments
from pushcart.services.stripe_inbox import EVENT_TYPES

Json = dict[str, Any]

#: Where the webhook endpoint's address ends.
ENDPOINT = "/function/stripe-webhook"

#: What an order is read from, by the name of its permission and its service in the SDK.
NEEDED = {
    "Checkout Sessions": lambda v1: v1.checkout.sessions,
    "PaymentIntents": lambda v1: v1.payment_intents,
    "Charges": lambda v1: v1.charges,
    "Disputes": lambda v1: v1.disputes,
    "Events": lambda v1: v1.events,
}

#: Seconds all requests about prices and links may take together.
SECONDS = 25.0

KEYS_PAGE = "https://dashboard.stripe.com/apikeys"


class StripeDoctor:
    """Examines one installation: `livemode` is its mode, `catalogue` what it sells."""

    def __init__(self, payments: StripePayments, catalogue: Catalogue, *, livemode: bool) -> None:
        self._payments = payments
        self._catalogue = catalogue
        self._livemode = livemode

    def examine(self) -> list[Check]:
        """Every check, the ones about the shop's prices only when Stripe answers and accepts the key."""
        checks = self._key()
        if failed(checks):
            return [*checks, Check(name="stripe", status="skip", text="nothing else was asked for that reason")]
        probes = {"webhook endpoint": Probe(self._endpoint)}
        for product in self._catalogue.products:
            probes[f"sells {product.sku}"] = Probe(lambda product=product: self._product(product))
        return checks + run(probes, SECONDS)

    def _key(self) -> list[Check]:
        """One request for each right that orders are read with, and one order's; the first tells Stripe's time."""
        refused: list[str] = []
        clock: list[Check] = []
        sessions: list[str] = []
        for right, service in NEEDED.items():
            try:
                page = self._payments.ask(lambda client, service=service: service(client.v1).list(params={"limit": 1}))
            except ProviderBusy:
                raise
            except ProviderRefused as error:
                if error.status != 403:
                    return [_fail("stripe key", error.message, f"make a key at {KEYS_PAGE} for stripe-api-key")]
                refused.append(right)
            except ProviderError as error:
                return [_fail("stripe key", error.message, "look at stripe_url and https://status.stripe.com")]
            else:
                clock = clock or _clock(page)
                sessions = sessions or [one.id for one in page.data]
        if refused:
            text = f"the key may not read {', '.join(refused)}, without which no order can be made"
            return [*clock, _fail("stripe key", text, f"give the key Read on {', '.join(refused)} at {KEYS_PAGE}")]
        return [self._order(sessions[0] if sessions else None), *clock]

    def _order(self, session_id: str | None) -> Check:
        """Reads the newest session as an order would be: what is expanded in it may need rights of its own."""
        if session_id is None:
            return _pass("stripe key", "Stripe accepts it; there is no Checkout Session yet to try it on")
        try:
            self._payments.payment(session_id)
        except ProviderBusy:
            raise
        except ProviderError as error:
            rights = f"give the key Read on Prices and Products too, at {KEYS_PAGE}"
            fix = rights if error.status == 403 else "look at the session in Stripe's dashboard"
            return _fail("stripe key", f"{session_id} cannot be read as an order: {error.message}", fix)
        return _pass("stripe key", "Stripe accepts it, and it may read what orders are made from")

    def _endpoint(self) -> list[Check]:
        name = "webhook endpoint"
        try:
            listed = self._payments.ask(
                lambda client: list(client.v1.webhook_endpoints.list(params={"limit": 100}).auto_paging_iter())
            )
        except ProviderRefused as error:
            return [_unreadable(name, error, "Webhook Endpoints")]
        ours = [one for one in map(_json, listed) if one["url"].rstrip("/").endswith(ENDPOINT)]
        if not ours:
            return [self._no_endpoint(name)]
        enabled = [one for one in ours if one["status"] == "enabled" and one["livemode"] == self._livemode]
        if not enabled:
            mode = "live" if self._livemode else "test"
            text = f"{ours[0]['url']} is registered, but not enabled for {mode} payments"
            return [_fail(name, text, "enable it at https://dashboard.stripe.com/webhooks")]
        return [_events(name, enabled), _version(enabled[0])]

    def _no_endpoint(self, name: str) -> Check:
        text = f"Stripe has none whose address ends in {ENDPOINT}"
        fix = "register one at https://dashboard.stripe.com/webhooks; the README lists its events"
        if self._livemode:
            return _fail(name, text, fix)
        text += ", so payments arrive only while stripe listen forwards them"
        return Check(name=name, status="warn", text=text, fix=fix)

    def _product(self, product: Product) -> list[Check]:
        name, sold = f"sells {product.sku}", product.stripe
        checks: list[Check] = []
        looks: Iterable[tuple[str | None, Callable[[str, Product], list[str]], str]] = (
            (sold.price, self._price, "Prices and Products"),
            (sold.product, self._stripe_product, "Products"),
            (sold.payment_link, self._link, "Payment Links"),
        )
        for id, look, right in looks:
            if not id:
                continue
            try:
                wrong = look(id, product)
            except ProviderRefused as error:
                checks.append(_unreadable(name, error, right, id))
            else:
                checks += [_fail(name, f"{id}: {what}", "correct it at Stripe or in shop.yml") for what in wrong]
        if not any((sold.price, sold.product, sold.payment_link)):
            text = "shop.yml names nothing at Stripe that sells it"
            if self._catalogue.site.checkout:
                text += "; the shop's own checkout does"
            return [Check(name=name, status="skip", text=text)]
        return checks or [_pass(name, f"for {money.plain(self._amount(product), self._currency(product))} at Stripe")]

    def _price(self, id: str, product: Product) -> list[str]:
        params: Any = {"expand": ["product", "currency_options"]}
        price = _json(self._payments.ask(lambda client: client.v1.prices.retrieve(id, params=params)))
        wrong = [] if price["active"] else ["this price is archived"]
        if not price["product"].get("active"):
            wrong.append(f"its product {price['product']['id']} is archived")
        if product.stripe.product not in (None, price["product"]["id"]):
            wrong.append(f"it belongs to {price['product']['id']} and not to {product.stripe.product}")
        return wrong + self._wrong_amount(price, product)

    def _stripe_product(self, id: str, product: Product) -> list[str]:
        found = _json(self._payments.ask(lambda client: client.v1.products.retrieve(id)))
        return [] if found["active"] else ["this product is archived"]

    def _link(self, id: str, product: Product) -> list[str]:
        link = _json(self._payments.ask(lambda client: client.v1.payment_links.retrieve(id)))
        params: Any = {"limit": 100, "expand": ["data.price.currency_options"]}
        page = self._payments.ask(lambda client: client.v1.payment_links.line_items.list(id, params=params))
        prices = [line.get("price") or {} for line in map(_json, page.data)]
        wrong = [] if link["active"] else ["this payment link is switched off"]
        sold = product.stripe
        if sold.price or sold.product:
            fits = [price for price in prices if price.get("id") == sold.price or price.get("product") == sold.product]
            if not fits:
                sells = ", ".join(str(price.get("id")) for price in prices) or "nothing"
                wrong.append(f"it sells {sells} and not {sold.price or sold.product}")
            return wrong + [what for price in fits if not sold.price for what in self._wrong_amount(price, product)]
        if len(prices) != 1:
            return [*wrong, f"it has {len(prices)} lines; name the price of this one in shop.yml"]
        return wrong + self._wrong_amount(prices[0], product)

    def _wrong_amount(self, price: Json, product: Product) -> list[str]:
        """A price may have an amount for each of several currencies; the one of shop.yml counts."""
        currency, amount = self._currency(product), self._amount(product)
        options = price.get("currency_options") or {}
        own = price if price["currency"].upper() == currency else options.get(currency.lower())
        if own is None:
            return [f"it is in {price['currency'].upper()}, shop.yml says {money.plain(amount, currency)}"]
        if own.get("unit_amount") is None:
            return [f"it has no fixed amount, shop.yml says {money.plain(amount, currency)}"]
        if own["unit_amount"] != amount:
            at_stripe = money.plain(own["unit_amount"], currency)
            return [f"it costs {at_stripe} at Stripe, shop.yml says {money.plain(amount, currency)}"]
        return []

    def _amount(self, product: Product) -> int:
        return self._catalogue.price_of(product)

    def _currency(self, product: Product) -> str:
        return self._catalogue.currency_of(product)


def _clock(page: Any) -> list[Check]:
    """Stripe's clock against the machine's own, with which its webhook signatures are compared."""
    response = page.last_response
    try:
        theirs = parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return []
    return [skew("stripe clock", theirs - time.time(), "Stripe's clock")]


def _events(name: str, endpoints: Sequence[Json]) -> Check:
    subscribed = {event for one in endpoints for event in one["enabled_events"]}
    missing = sorted(EVENT_TYPES - subscribed) if "*" not in subscribed else []
    if missing:
        return _fail(
            name,
            f"{endpoints[0]['url']} does not get {', '.join(missing)}",
            "add these events at https://dashboard.stripe.com/webhooks",
        )
    return _pass(name, f"{endpoints[0]['url']} gets every event this shop handles")


def _version(endpoint: Json) -> Check:
    version, pinned = endpoint.get("api_version"), stripe.api_version
    if version == pinned:
        return _pass("webhook API version", f"{pinned}, the one this shop is made for")
    text = f"{version or 'the default of your account'}, while this shop is made for {pinned}"
    fix = "events are read again from Stripe, so orders are right all the same; a new endpoint can be pinned"
    return Check(name="webhook API version", status="warn", text=text, fix=fix)


def _unreadable(name: str, error: ProviderRefused, right: str, id: str = "") -> Check:
    if error.status == 403:
        text = f"{id} cannot be checked" if id else "cannot be checked"
        return Check(name=name, status="warn", text=text, fix=f"give the key Read on {right} at {KEYS_PAGE}")
    return _fail(name, f"{id}: {error.message}" if id else error.message, "correct the id in shop.yml")


def _json(found: Any) -> Json:
    return dict(found.to_dict())


def _pass(name: str, text: str) -> Check:
    return Check(name=name, status="pass", text=text)


def _fail(name: str, text: str, fix: str) -> Check:
    return Check(name=name, status="fail", text=text, fix=fix)
