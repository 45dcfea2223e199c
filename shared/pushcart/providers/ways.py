"""What a checkout needs of a way to pay, and where its buyer comes back to."""

from __future__ import annotations

from typing import NamedTuple, Protocol
from urllib.parse import urlencode

from pushcart.domain.cart import Rules
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.order import Order
from pushcart.providers.paylinks import PayLinks


class Opened(NamedTuple):
    """Where one order can be paid: the provider's id for that, and the address for the buyer."""

    session_id: str
    url: str


class Way(Protocol):
    """One way to pay. `rules` are its demands on a cart."""

    rules: Rules

    def open(self, order: Order, catalogue: Catalogue, site: str) -> Opened:
        """Where the stored order is paid; the same again for the same order.

        Raises the `ProviderError`s, and `CartRefused` when the provider would not take this cart from anybody.
        """


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


def thank_you_url(site: str, order: Order) -> str:
    """Where the buyer comes back to. The key is in the fragment, which the pages' host does not get to see."""
    assert order.intent is not None
    return f"{site.rstrip('/')}/thank-you/#{urlencode({'order': order.id, 'key': order.intent.key})}"


def cancelled_url(site: str) -> str:
    """Where a buyer comes to who turns back at the payment page."""
    return f"{site.rstrip('/')}/cancelled/"
