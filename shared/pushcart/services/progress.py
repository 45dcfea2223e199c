"""What a buyer may know of their order by an unguessable key: how far it is, and nothing personal."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

from pushcart.domain.catalogue import Catalogue, EmailStep, InviteStep
from pushcart.domain.order import FulfilmentStatus, Order, PaymentStatus, Phase, Step, StepState
from pushcart.errors import NotFound
from pushcart.repositories import Orders

#: Where the money is, in the words of the thank-you page; what is paid for goes on by its fulfilment.
_BY_PAYMENT = {
    PaymentStatus.UNPAID: "waiting",
    PaymentStatus.FAILED: "failed",
    PaymentStatus.EXPIRED: "expired",
    PaymentStatus.REFUNDED: "refunded",
    PaymentStatus.DISPUTED: "attention",
}
_BY_FULFILMENT = {
    FulfilmentStatus.FULFILLED: "done",
    FulfilmentStatus.NEEDS_ATTENTION: "attention",
    FulfilmentStatus.CANCELLED: "attention",
}

_INVITE, _EMAIL = InviteStep.__struct_config__.tag, EmailStep.__struct_config__.tag


class Progress:
    """`order`, and the id of the checkout session for payment links, name what is asked about."""

    def __init__(self, orders: Orders, catalogue: Callable[[], Catalogue]) -> None:
        self._orders = orders
        self._catalogue = catalogue

    def by_key(self, order_id: str, key: str) -> dict[str, Any]:
        """`{"order", "state", "items", "expect"}`; `NotFound` as well for a key that does not fit."""
        order = self._orders.get(order_id)
        known = order.intent.key if order and order.intent else ""
        if order is None or not known or not hmac.compare_digest(known.encode(), key.encode()):
            raise _unknown()
        return self._of(order)

    def by_session(self, session_id: str) -> dict[str, Any]:
        """The same by the id of a Stripe session, which only its buyer and we have."""
        order = self._orders.by_session(session_id) if session_id.startswith("cs_") else None
        if order is None:
            raise _unknown()
        return self._of(order)

    def by_proof(self, order_id: str) -> dict[str, Any]:
        """The same for whom a provider has sent back with its signature."""
        order = self._orders.get(order_id)
        if order is None:
            raise _unknown()
        return self._of(order)

    def _of(self, order: Order) -> dict[str, Any]:
        return {
            "order": order.id,
            "state": state(order, self._catalogue()),
            "items": [{"name": line.name, "quantity": line.quantity} for line in order.lines],
            "expect": self._expect(order),
        }

    def _expect(self, order: Order) -> list[str]:
        """What reaches the buyer: `invitation`, `mail`, `parcel`."""
        catalogue = self._catalogue()
        products = [product for sku in order.skus if (product := catalogue.product(sku))]
        owed = [step for product in products for step in product.fulfilment] + catalogue.every_order.fulfilment
        found = {
            "invitation": any(isinstance(step, InviteStep) for step in owed),
            "mail": any(isinstance(step, EmailStep) and step.to == "buyer" for step in owed),
            "parcel": any(product.ships for product in products),
        }
        return [name for name, expected in found.items() if expected]


def state(order: Order, catalogue: Catalogue) -> str:
    """`waiting`, `failed`, `expired`, `refunded`, `paid`, `on_its_way`, `done` or `attention`."""
    if order.payment_status in _BY_PAYMENT:
        return _BY_PAYMENT[order.payment_status]
    if order.fulfilment_status in _BY_FULFILMENT:
        return _BY_FULFILMENT[order.fulfilment_status]
    left = any(parcel.returned_at is None for parcel in order.parcels)
    return "on_its_way" if left or any(_delivers(step, catalogue) for step in order.steps) else "paid"


def _delivers(step: Step, catalogue: Catalogue) -> bool:
    """Whether the step has brought its product to the buyer.

    A mail does that for what needs no parcel; the receipt, and word of a parcel that is still to come, do not.
    """
    product = catalogue.product(step.sku)
    if product is None or step.phase is not Phase.SALE or step.state is not StepState.DONE:
        return False
    by_mail = step.kind == _EMAIL and step.config["to"] == "buyer" and not product.ships
    return step.kind == _INVITE or by_mail


def _unknown() -> NotFound:
    return NotFound("No order is known by this key (yet).")
