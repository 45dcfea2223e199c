"""A stand-in for Stripe: the API, the events and their webhooks, the buyer, and the hosted pay page."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from local.sandbox.stripe.after_sale import AfterSale
from local.sandbox.stripe.api import Api
from local.sandbox.stripe.errors import StripeError, by_status
from local.sandbox.stripe.events import SHOP_EVENTS, Delivery
from local.sandbox.stripe.paypage import PayPage
from local.sandbox.stripe.state import Outcome
from local.sandbox.world import Answer, Provider, World

__all__ = ["SHOP_EVENTS", "Delivery", "Outcome", "StripeError", "StripeSandbox"]


class StripeSandbox(AfterSale, Provider):
    """Everything of Stripe in one object; see `AfterSale`, `Checkout`, `Catalogue` and `Events`."""

    name = "stripe"
    actions = (
        "add_payment_link",
        "open_session",
        "recover",
        "buy",
        "settle",
        "decline",
        "expire",
        "refund",
        "refund_fails",
        "dispute",
        "close_dispute",
        "foreign_event",
        "deliver",
        "configure",
    )

    def __init__(self, world: World, webhook_url: str | None, secret: str, autosend: bool) -> None:
        AfterSale.__init__(self, world, webhook_url, secret, autosend)
        self._api = Api(self)

    def blueprint(self) -> Blueprint:
        routes = Blueprint("stripe", __name__)
        self._api.register(routes)
        PayPage(self).register(routes)
        return routes

    def configure(self, **settings: Any) -> dict[str, Any]:
        """Sets webhook_url, autosend, lose or api_version; what a test in another process needs."""
        unknown = settings.keys() - {"webhook_url", "autosend", "lose", "api_version"}
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
        for name, value in settings.items():
            setattr(self, name, value)
        return {
            "webhook_url": self.webhook_url,
            "autosend": self.autosend,
            "lose": self.lose,
            "api_version": self.api_version,
        }

    def reset(self) -> None:
        with self.lock:
            self.drop_deliveries()
            self.clear()
            self.lose = False
            self._api.keys.clear()

    def error(self, status: int, retry_after: int | None) -> Answer:
        return by_status(status, retry_after)
