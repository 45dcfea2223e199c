"""What shop.yml says about the shop's own pages and its checkout; `catalogue` says what is sold."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pushcart.domain.fields import Code, Country, Day, Name, Origin, Sku, Struct, Url


class Option(Struct):
    """Something the buyer chooses, such as a size."""

    name: Annotated[str, Meta(min_length=1, max_length=40)]
    values: Annotated[list[Annotated[str, Meta(min_length=1, max_length=60)]], Meta(min_length=1, max_length=100)]


class ShippingRate(Struct):
    """One way a parcel can go; `price` is in major units of the shop's currency, for the whole order."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    price: Decimal


class ShippingSettings(Struct):
    """Where parcels go, and what that costs."""

    countries: Annotated[list[Country], Meta(min_length=1)]
    rates: Annotated[list[ShippingRate], Meta(min_length=1, max_length=5)]  # Stripe takes five


class Discount(Struct):
    """A code and what it takes off: `percent`, or `amount` in major units of the shop's currency.

    `skus` (all, unless given) are what it counts for, `until` is its last day in the shop's time zone.
    """

    code: Code
    percent: Annotated[int, Meta(ge=1, le=100)] | None = None
    amount: Decimal | None = None
    skus: list[Sku] = []
    until: Day | None = None


class CheckoutSettings(Struct):
    """How the shop's own checkout takes money.

    `pay_with` are the providers in the order buyers see them, `expires_minutes` how long a buyer may take,
    `promotion_codes` lets them type in Stripe's own codes there, `reminder` is the mail for a cart that was left.
    """

    pay_with: Annotated[list[Name], Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["stripe"])
    # Stripe takes 30 minutes to a day; the rest is for a buyer who tries again after a lost answer.
    expires_minutes: Annotated[int, Meta(ge=35, le=1435)] = 60
    automatic_tax: Literal["inclusive", "exclusive"] | None = None
    promotion_codes: bool = False
    shipping: ShippingSettings | None = None
    discounts: list[Discount] = []
    reminder: Name | None = None


class Site(Struct):
    """The static shop: `checkout` is the public address of that function, `origins` other sites that may call it."""

    checkout: Url | None = None
    origins: list[Origin] = []
    description: str = ""
