"""What we go by in Stripe's answers, with the types that Stripe documents; everything else in them is passed over.

`None` is allowed where the API reference says nullable, but not where a paid order cannot do without. What we ask to
be expanded has to be an object.
https://docs.stripe.com/api/checkout/sessions/object
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pushcart.domain.order import Address, Shipping

#: Minor units; Stripe takes no payment of more than 12 digits in any currency.
Amount = Annotated[int, Meta(ge=0, lt=10**12)]
#: Unix seconds, up to the year 9999.
Seconds = Annotated[int, Meta(ge=0, lt=253_402_300_800)]
Id = Annotated[str, Meta(pattern=r"^[!-~]{1,255}\Z")]
Code = Annotated[str, Meta(pattern=r"^[A-Za-z]{3}\Z")]


class Totals(msgspec.Struct):
    amount_discount: Amount
    amount_tax: Amount
    amount_shipping: Amount | None = None


class Customer(msgspec.Struct):
    email: str | None = None
    name: str | None = None
    phone: str | None = None
    address: Address | None = None


class ShippingDetails(msgspec.Struct):
    name: str | None = None
    address: Address | None = None


class Collected(msgspec.Struct):
    shipping_details: ShippingDetails | None = None


class Charge(msgspec.Struct):
    id: Id
    amount_refunded: Amount
    created: Seconds
    disputed: bool
    paid: bool


class Intent(msgspec.Struct):
    id: Id
    status: str
    amount_received: Amount
    latest_charge: Charge | None = None


class Product(msgspec.Struct):
    id: Id
    name: str | None = None
    metadata: dict[str, Any] | None = None


class Price(msgspec.Struct):
    id: Id | None = None
    currency: Code | None = None
    unit_amount: Amount | None = None
    product: Product | Id | None = None


class LineItem(msgspec.Struct):
    id: Id
    amount_subtotal: Amount
    amount_discount: Amount
    amount_tax: Amount
    amount_total: Amount
    quantity: Amount | None
    description: str | None = None
    price: Price | None = None


class LineItems(msgspec.Struct):
    data: list[LineItem]
    has_more: bool


class Session(msgspec.Struct):
    """A Checkout Session with its line items, its payment intent and its charge."""

    id: Id
    created: Seconds
    currency: Code
    amount_subtotal: Amount
    amount_total: Amount
    payment_status: str
    livemode: bool
    line_items: LineItems
    status: str | None = None
    mode: str = "payment"
    payment_intent: Intent | None = None
    total_details: Totals | None = None
    metadata: dict[str, str] | None = None
    payment_link: Id | None = None
    customer_details: Customer | None = None
    customer_email: str | None = None
    locale: str | None = None
    collected_information: Collected | None = None
    shipping_details: ShippingDetails | None = None
    shipping: ShippingDetails | None = None

    def sent_to(self) -> Shipping | None:
        """Since 2025-03-31 under `collected_information`; before that in `shipping_details`, before that `shipping`."""
        collected = self.collected_information.shipping_details if self.collected_information else None
        found = collected or self.shipping_details or self.shipping
        return Shipping(name=found.name, address=found.address) if found and found.address else None


class EvidenceDetails(msgspec.Struct):
    due_by: Seconds | None = None


class DisputeItem(msgspec.Struct):
    id: Id
    status: Annotated[str, Meta(min_length=1)]
    amount: Amount
    reason: str | None = None
    evidence_details: EvidenceDetails | None = None


class Disputes(msgspec.Struct):
    data: list[DisputeItem]


class Named(msgspec.Struct):
    id: Id


class Found(msgspec.Struct):
    data: list[Named]


class PaidBy(msgspec.Struct):
    payment_intent: Id | None = None
