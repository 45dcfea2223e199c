"""What an order has on its way: the print-on-demand order that a provider makes of it, and the parcels.

Plain data, kept inside the order; the rules that change it are in `delivery`.
"""

from __future__ import annotations

import msgspec

from pushcart.clock import Instant

#: Printful's words for where an order of its is: https://developers.printful.com/docs/#tag/Orders-API
DRAFT, FAILED, CANCELLED, ON_HOLD = "draft", "failed", "canceled", "onhold"
FULFILLED, ARCHIVED = "fulfilled", "archived"

#: Nothing more will be made or sent by itself.
ENDED = frozenset({FULFILLED, CANCELLED, ARCHIVED})

#: Nothing is made as long as nobody does anything.
AT_REST = ENDED | {DRAFT, FAILED}


class ParcelItem(msgspec.Struct, kw_only=True):
    """So many pieces of something in a parcel. `line` is the order's line, where it is known."""

    name: str
    quantity: int
    line: str | None = None


class Parcel(msgspec.Struct, kw_only=True):
    """One parcel that was sent. `provider` is who sent it (`printful`, or `owner`), `id` its own number there.

    `reshipment` says that it replaces one that was lost, `more` that something of the order comes in another one;
    `returned_at` that it came back, and `reason` why.
    """

    provider: str
    id: str
    carrier: str = ""
    service: str | None = None
    tracking_number: str | None = None
    tracking_url: str | None = None
    shipped_at: Instant
    reshipment: bool = False
    more: bool = False
    items: list[ParcelItem] = []
    returned_at: Instant | None = None
    reason: str | None = None

    @property
    def key(self) -> str:
        """What tells parcels of an order apart."""
        return f"{self.provider}-{self.id}"


class Costs(msgspec.Struct, kw_only=True):
    """What the provider asks of the shop, in minor units of `currency`; `tax` holds VAT as well."""

    currency: str
    subtotal: int
    shipping: int
    tax: int
    total: int


class Print(msgspec.Struct, kw_only=True):
    """The order that a print-on-demand provider made of ours, as last read. `number` is its id there.

    `external_id` is what we called it, `status` the provider's word as of `updated_at` (by the provider's clock),
    `error` its reason where something is wrong, `retail` what the buyer paid for these lines, in minor units of the
    payment's currency. `refunds` are what the provider gave back to the shop, by the message that said so, in minor
    units of the costs' currency. `drafts` counts how often it fell back to a draft, `let_go` says that the owner dealt
    with one that failed, or that another took its place.
    """

    provider: str
    number: str
    external_id: str
    status: str
    placed_at: Instant
    updated_at: Instant = ""
    error: str | None = None
    costs: Costs | None = None
    retail: int = 0
    refunds: dict[str, int] = {}
    drafts: int = 0
    let_go: bool = False

    @property
    def open(self) -> bool:
        """Whether something is still to be made or sent."""
        return self.status not in ENDED and not self.let_go

    @property
    def under_way(self) -> bool:
        """Whether it will be made and sent unless somebody stops it."""
        return self.status not in AT_REST and not self.let_go


class PrintFacts(msgspec.Struct, kw_only=True):
    """One order as read from the print-on-demand provider, in our words. `pieces` are counted by sync variant."""

    number: str
    external_id: str | None
    status: str
    created_at: Instant
    updated_at: Instant
    error: str | None = None
    costs: Costs | None = None
    pieces: dict[str, int] = {}
    parcels: list[Parcel] = []


class PrintNews(msgspec.Struct, kw_only=True):
    """What only a message of the provider says and its order does not: why, what came back, what was given back.

    `refunded` is in minor units of the costs' currency. `parcel` is the one that came back.
    """

    type: str
    reason: str | None = None
    refunded: int | None = None
    parcel: Parcel | None = None


def external_id(order_id: str, number: int = 1) -> str:
    """What the provider is to call the order: ours, and for a later one of the same order a number behind it."""
    return order_id if number == 1 else f"{order_id}-{number}"


def order_of(external_id: str | None) -> str | None:
    """The order's id that an `external_id` may stand for, without its number."""
    if not external_id:
        return None
    head, dash, tail = external_id.rpartition("-")
    return head if dash and tail.isdecimal() and len(tail) < 3 and head.count("-") else external_id
