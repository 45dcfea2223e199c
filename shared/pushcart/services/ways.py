"""The ways to pay that a shop offers, made from its configuration."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from pushcart.config import Config
from pushcart.providers import paylinks
from pushcart.providers.paylinks import PayLinks
from pushcart.providers.stripe_checkout import StripeCheckout
from pushcart.providers.stripe_payments import StripePayments
from pushcart.providers.ways import LinkWay, Way


class Ways:
    """The ways to pay by name, each made when it is first needed: a shop has no keys for those it does not offer."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._links: dict[str, PayLinks] = {}
        self._ways: dict[str, Way] = {}

    def __getitem__(self, name: str) -> Way:
        if name not in self._ways:
            self._ways[name] = self._stripe() if name == "stripe" else LinkWay(self._link(name))
        return self._ways[name]

    def links(self, names: Iterable[str]) -> list[PayLinks]:
        """The providers of signed links among these ways to pay."""
        return [self._link(name) for name in names if name != "stripe"]

    def _link(self, name: str) -> PayLinks:
        if name not in self._links:
            self._links[name] = paylinks.provider(name)(self._config)
        return self._links[name]

    def _stripe(self) -> Way:
        config = self._config
        key = partial(config.secret, "stripe-api-key")
        return StripeCheckout(StripePayments(config["stripe_url"], key, config.number("provider_timeout")))
