"""What we go by in Printful's answers, with the types that Printful documents; everything else in them is passed over.

`None` is allowed wherever its own samples leave a field out. Amounts are texts such as "12.95", moments Unix seconds.
https://developers.printful.com/docs/#tag/Orders-API
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pushcart.clock import from_timestamp
from pushcart.domain import money, parcels
from pushcart.domain.parcels import Parcel, ParcelItem, PrintFacts

#: Who printed and sent it, as an order of ours keeps it.
PROVIDER = "printful"

#: The webhooks this shop acts on; the store's webhook should be set to these.
#: https://developers.printful.com/docs/#tag/Webhook-API
EVENT_TYPES = frozenset(
    {
        "package_shipped",
        "package_returned",
        "order_created",
        "order_updated",
        "order_failed",
        "order_canceled",
        "order_put_hold",
        "order_put_hold_approval",
        "order_remove_hold",
        "order_refunded",
    }
)

#: https://developers.printful.com/docs/#section/Orders-API/External-ID: orders and their items may have one.
EXTERNAL_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")

#: Longer words of Printful's are cut, in characters.
_LONGEST_WORDS = 300

Id = Annotated[int, Meta(ge=1, lt=2**53)]
#: Unix seconds, up to the year 9999.
Seconds = Annotated[int, Meta(ge=0, lt=253_402_300_800)]
Amount = Annotated[str, Meta(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?\Z")]
Code = Annotated[str, Meta(pattern=r"^[A-Za-z]{3}\Z")]
Count = Annotated[int, Meta(ge=0, lt=2**31)]


class Costs(msgspec.Struct):
    """The shop's costs; fees for digitizing and the like are in `total` only. Empty while Printful works them out."""

    currency: Code | None = None
    subtotal: Amount | None = None
    shipping: Amount | None = None
    tax: Amount | None = None
    vat: Amount | None = None
    total: Amount | None = None


class Product(msgspec.Struct):
    name: str | None = None


class Item(msgspec.Struct):
    quantity: Count
    id: Id | None = None
    external_id: str | int | None = None
    sync_variant_id: int | None = None
    variant_id: int | None = None
    name: str | None = None
    product: Product | None = None


class ShippedItem(msgspec.Struct):
    item_id: int
    quantity: Count


class Shipment(msgspec.Struct):
    id: Id
    carrier: str | None = None
    service: str | None = None
    tracking_number: str | int | None = None
    tracking_url: str | None = None
    created: Seconds | None = None
    shipped_at: Seconds | None = None
    reshipment: bool | None = None
    items: list[ShippedItem] | None = None


class Order(msgspec.Struct):
    """One order. What could not be matched with a product of the store's is among `incomplete_items`.

    `costs` are for the owner to know: what cannot be read of them must not hide the order (see `costs_of`).
    """

    id: Id
    status: Annotated[str, Meta(min_length=1, max_length=40)]
    created: Seconds
    external_id: str | int | None = None
    updated: Seconds | None = None
    error: Any = None
    costs: Any = None
    items: list[Item] | None = None
    incomplete_items: list[Item] | None = None
    shipments: list[Shipment] | None = None

    @property
    def name(self) -> str | None:
        """Its `external_id` as text."""
        return None if self.external_id in (None, "") else str(self.external_id)


class OrderAnswer(msgspec.Struct):
    result: Order


class Paging(msgspec.Struct):
    total: Count


class OrdersAnswer(msgspec.Struct):
    """A page of orders, each still to be read: one that is odd must not hide the others."""

    result: list[msgspec.Raw]
    paging: Paging


class Store(msgspec.Struct):
    id: Id
    name: str | None = None


class StoresAnswer(msgspec.Struct):
    result: list[Store]


class Webhook(msgspec.Struct):
    url: str | None = None
    types: list[str] | None = None


class WebhookAnswer(msgspec.Struct):
    result: Webhook


def facts(order: Order) -> PrintFacts:
    """The order in our words."""
    return PrintFacts(
        number=str(order.id),
        external_id=order.name,
        status=order.status,
        created_at=from_timestamp(order.created),
        updated_at=from_timestamp(order.created if order.updated is None else order.updated),
        error=words(order.error),
        costs=costs_of(order),
        pieces=_pieces([*(order.items or ()), *(order.incomplete_items or ())]),
        parcels=[parcel(shipment, order) for shipment in order.shipments or ()],
    )


def _pieces(items: list[Item]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for item in items:
        counts[str(item.sync_variant_id or f"variant-{item.variant_id}")] += item.quantity
    return dict(counts)


def costs_of(order: Order) -> parcels.Costs | None:
    """The costs in minor units, rounded where Printful counts finer; None while it does not know them."""
    try:
        given = msgspec.convert(order.costs, Costs | None)
    except msgspec.ValidationError:
        return None
    if given is None or given.currency is None or given.total is None:
        return None
    currency = given.currency.upper()

    def minor(amount: Amount | None) -> int:
        return money.nearest_minor(Decimal(amount or "0"), currency)

    return parcels.Costs(
        currency=currency,
        subtotal=minor(given.subtotal),
        shipping=minor(given.shipping),
        tax=minor(given.tax) + minor(given.vat),
        total=minor(given.total),
    )


def parcel(shipment: Shipment, order: Order) -> Parcel:
    """One parcel of the order; what is in it is named as the order names it, and left out where that is unknown."""
    items = {item.id: item for item in order.items or () if item.id is not None}
    moments = (shipment.shipped_at, shipment.created, order.updated, order.created)
    return Parcel(
        provider=PROVIDER,
        id=str(shipment.id),
        carrier=shipment.carrier or "",
        service=shipment.service or None,
        tracking_number=str(shipment.tracking_number) if shipment.tracking_number else None,
        tracking_url=_link(shipment.tracking_url),
        shipped_at=from_timestamp(next(moment for moment in moments if moment is not None)),
        reshipment=bool(shipment.reshipment),
        items=[_shipped(one, items[one.item_id]) for one in shipment.items or () if one.item_id in items],
    )


def words(said: Any) -> str | None:
    """Printful's own words about what is wrong: on one line, not too many; None when there are none."""
    if isinstance(said, dict):
        said = said.get("message") or said.get("reason")
    text = " ".join(said.split()) if isinstance(said, str) else ""
    return (text if len(text) <= _LONGEST_WORDS else text[: _LONGEST_WORDS - 1] + "…") or None


def _shipped(one: ShippedItem, item: Item) -> ParcelItem:
    name = item.name or (item.product.name if item.product else None) or ""
    line = None if item.external_id in (None, "") else str(item.external_id)
    return ParcelItem(name=name, quantity=one.quantity, line=line)


def _link(url: str | None) -> str | None:
    """The address, if it is one that may go into a mail."""
    return url if url and re.fullmatch(r"https?://[^\s/\"'<>]+(/[^\s\"'<>]*)?", url) else None
