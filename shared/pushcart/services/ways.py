"""The ways to pay that a shop offers, made from its configuration."""

from __future__ import annotations

from collections.abc import Iterable

from pushcart import needs
from pushcart.config import Config
from pushcart.domain.catalogue import Catalogue
from pushcart.errors import ConfigurationError
from pushcart.providers import paylinks, stripe_payments
from pushcart.providers.paylinks import PayLinks
from pushcart.providers.stripe_checkout import StripeCheckout
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

    def check(self, catalogue: Catalogue) -> None:
        """`ConfigurationError` when what the ways to pay need is missing, or leads to payments of another mode."""
        needed = needs.for_checkout(catalogue)
        self._config.check(needed.secrets, needed.variables)
        mode = self._config["stripe_mode"]
        for provider in self.links(catalogue.checkout.pay_with):
            if (other := provider.mode()) not in (None, mode):
                problem = f"stripe_mode is {mode}, but {provider.name}'s links lead to {other} payments"
                raise ConfigurationError([problem])

    def _link(self, name: str) -> PayLinks:
        if name not in self._links:
            self._links[name] = paylinks.provider(name)(self._config)
        return self._links[name]

    def _stripe(self) -> Way:
        return StripeCheckout(stripe_payments.connect(self._config))
