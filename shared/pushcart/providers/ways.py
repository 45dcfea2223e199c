"""What a checkout needs of a way to pay, and where its buyer comes back to."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Protocol
from urllib.parse import urlencode

from pushcart.config import Config
from pushcart.domain.cart import Rules
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.order import Order
from pushcart.providers import paylinks
from pushcart.providers.paylinks import PayLinks


class Opened(NamedTuple):
    """Where one order can be paid: the provider's id for that, and the address for the buyer."""

    session_id: str
    url: str


class Way(Protocol):
    """One way to pay. `rules` are its demands on a cart."""

    rules: Rules

    def open(self, order: Order, catalogue: Catalogue, site: str) -> Opened:
        """Where the stored order is paid; the same again for the same order. Raises the `ProviderError`s."""


class LinkWay:
    """A way to pay by links that are signed here; nobody is asked."""

    def __init__(self, provider: PayLinks) -> None:
        self._provider = provider
        self.rules = Rules(currencies=provider.currencies, asks_itself=False, failed_may_pay=True)

    def open(self, order: Order, catalogue: Catalogue, site: str) -> Opened:
        """The provider knows the payment by the order's own id."""
        intent = order.intent
        assert intent is not None
        assert intent.expires_at is not None
        url = self._provider.link(
            order.id,
            intent.amount_total,
            intent.currency,
            description=f"Order {order.id}",
            email=order.buyer.email or "",
            expires_at=intent.expires_at,
        )
        return Opened(order.id, url)


class Ways:
    """The ways to pay by name, each made when it is first needed, so that no other's driver is loaded."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._links: dict[str, PayLinks] = {}
        self._ways: dict[str, Way] = {}

    def __getitem__(self, name: str) -> Way:
        if name not in self._ways:
            self._ways[name] = self._stripe() if name == "stripe" else LinkWay(self.link(name))
        return self._ways[name]

    def link(self, name: str) -> PayLinks:
        """The provider of signed links with this name."""
        if name not in self._links:
            self._links[name] = paylinks.provider(name)(self._config)
        return self._links[name]

    def _stripe(self) -> Way:
        from pushcart.providers.stripe_checkout import StripeCheckout
        from pushcart.providers.stripe_payments import StripePayments

        config = self._config
        key = partial(config.secret, "stripe-api-key")
        return StripeCheckout(StripePayments(config["stripe_url"], key, config.number("provider_timeout")))


def thank_you_url(site: str, order: Order) -> str:
    """Where the buyer comes back to. The key is in the fragment, which no server and no log gets to see."""
    assert order.intent is not None
    return f"{site.rstrip('/')}/thank-you/#{urlencode({'order': order.id, 'key': order.intent.key})}"


def cancelled_url(site: str) -> str:
    """Where a buyer comes to who turns back at the payment page."""
    return f"{site.rstrip('/')}/cancelled/"
