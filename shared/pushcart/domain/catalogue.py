"""What the shop sells and what happens with each sale: the shape of `shop.yml`.

The file is read by `pushcart.shopfile`, which lists every mistake with its line. A new kind of step is one
more class here, in `AnyStep`, and a function that carries it out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from pushcart.domain import money
from pushcart.domain.alerting import AlertSettings
from pushcart.domain.fields import Mail, Name, Sku, Struct, Text, Url
from pushcart.domain.selling import CheckoutSettings, Option, Site

#: A number that Printful gave one variant of a product of the shop's.
SyncVariant = Annotated[int, Meta(ge=1)]

_DELAY = re.compile(r"(\d{1,4}) (minute|hour|day|week)s?")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def delay_seconds(delay: str) -> int:
    """`"3 days"` is 259200. ValueError for anything but a number and minutes, hours, days or weeks."""
    match = _DELAY.fullmatch(delay.strip())
    if not match:
        raise ValueError(f"{delay!r} is not a delay; write it like 3 days")
    return int(match[1]) * _SECONDS[match[2]]


class StepSpec(msgspec.Struct, kw_only=True, tag_field="step", forbid_unknown_fields=True):
    """What every step may have: a name, the steps it waits for, and a delay counted from the payment."""

    #: The function that carries it out; none for what the owner does by hand.
    function: ClassVar[str]
    #: What a step's result holds, for the `fields` of a later one.
    gives: ClassVar[tuple[str, ...]] = ()
    id: Name | None = None
    needs: list[Name] = []
    delay: str | None = None

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)

    @property
    def name(self) -> str:
        """What other steps' `needs` and the timeline call it."""
        return self.id or self.kind

    def settings(self) -> dict[str, Any]:
        """What the step's function needs to know, without the planning fields."""
        fields = msgspec.to_builtins(self)
        return {name: value for name, value in fields.items() if name not in {"step", "id", "needs", "delay"}}


class InviteStep(StepSpec, tag="invite"):
    """Lets the buyer in: an invitation to Discourse, an enrolment at Thinkific, or a signed call to your platform."""

    function = "invite-link"
    gives = ("link", "expires_at")
    platform: Literal["discourse", "thinkific", "http"]
    groups: list[int] = []
    course: int | None = None
    expires_days: Annotated[int, Meta(ge=1, le=3650)] | None = None
    data: dict[str, Any] = {}


class PurchaseStep(StepSpec, tag="purchase"):
    """Records the purchase in the mailing list."""

    function = "mailing-list"


class SequenceStep(StepSpec, tag="sequence"):
    """Adds the buyer to a mail sequence; `fields` fills custom fields from earlier results, such as `invite.link`."""

    function = "mailing-list"
    sequence: int
    fields: dict[Text, Text] = {}


class EmailStep(StepSpec, tag="email"):
    """Sends one mail: one of our templates by name, or a SendGrid dynamic template by its id."""

    function = "email-dispatch"
    template: Name | None = None
    sendgrid_template: Annotated[str, Meta(pattern=r"^d-[0-9a-f]+\Z", description="d-...")] | None = None
    to: Literal["buyer", "admins"] = "buyer"

    @property
    def name(self) -> str:
        return self.id or self.template or self.kind


class PrintStep(StepSpec, tag="print"):
    """Has Printful make and send it: `variant`, or for products with options `variants` by choice, such as `M / Blue`.

    They are the numbers of sync variants. All that is printed of an order goes to Printful as one order; `shipping`
    is the way that goes.
    """

    function = "printful-order"
    variant: SyncVariant | None = None
    variants: dict[Text, SyncVariant] = {}
    shipping: Text | None = None

    def variant_of(self, choice: str) -> int | None:
        """The sync variant for a choice of options; None when the file names none."""
        return self.variants.get(choice) if self.variants else self.variant


class PackStep(StepSpec, tag="pack"):
    """You pack and send it yourself, and say so with `pushcart orders ship`."""

    function = ""


AnyStep = InviteStep | PurchaseStep | SequenceStep | EmailStep | PrintStep | PackStep

STEP_TYPES: dict[str, type[StepSpec]] = {
    str(step.__struct_config__.tag): step
    for step in (InviteStep, PurchaseStep, SequenceStep, EmailStep, PrintStep, PackStep)
}


class Shop(Struct):
    """The shop itself, as mails show it. `locale` and `timezone` serve buyers whose own are unknown."""

    name: Text
    url: Url
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", description="an ISO code such as EUR")]
    support: Mail
    sender: Mail
    admins: Annotated[list[Mail], Meta(min_length=1)]
    locale: Text = "en"
    timezone: Text = "UTC"


class DiscoursePlatform(Struct):
    """The Discourse that invitations are for."""

    url: Url
    username: Text = "system"


class ThinkificPlatform(Struct):
    """The Thinkific school; `subdomain` is the part before `.thinkific.com`."""

    subdomain: Text


class HttpPlatform(Struct):
    """Any other platform: every invite is a signed POST to `url`."""

    url: Url


class Platforms(Struct):
    """The course platforms that `invite` steps name."""

    discourse: DiscoursePlatform | None = None
    thinkific: ThinkificPlatform | None = None
    http: HttpPlatform | None = None


class Kit(Struct):
    """The Kit account: `v4` (an OAuth app) or `v3` (an API secret, old accounts)."""

    api: Literal["v4", "v3"] = "v4"


class MailingList(Struct):
    """The mailing list that `purchase` and `sequence` steps use."""

    kit: Kit


class StripeSettings(Struct):
    """`ignore` lists payment links, prices and products of the same account that are not this shop's."""

    ignore: list[Annotated[str, Meta(pattern=r"^(plink|price|prod)_\w+\Z")]] = []


class Sold(Struct):
    """What sells a product at Stripe. A price or product matches any session; a link only a one-line session.

    `url` is the link's public address, for the button on the product's page.
    """

    price: Annotated[str, Meta(pattern=r"^price_\w+\Z", description="price_...")] | None = None
    product: Annotated[str, Meta(pattern=r"^prod_\w+\Z", description="prod_...")] | None = None
    payment_link: Annotated[str, Meta(pattern=r"^plink_\w+\Z", description="plink_...")] | None = None
    url: Url | None = None


class OnRefund(Struct):
    """What a full refund does: `cancel` stops what has not run, `steps` run then."""

    cancel: bool = True
    steps: list[AnyStep] = []


class Product(Struct):
    """One product; `price` is in major units of `currency` (the shop's unless given).

    `stock` is how many there are to sell in all, for the product or for each choice of its options (`"S"`,
    `"S / Blue"`); None is without end. `ships` says that it goes to an address.
    """

    sku: Sku
    name: Text
    price: Decimal
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z", description="an ISO code such as EUR")] | None = None
    text: str = ""
    images: list[Text] = []
    options: list[Option] = []
    stock: Annotated[int, Meta(ge=0)] | dict[str, Annotated[int, Meta(ge=0)]] | None = None
    ships: bool = False
    stripe: Sold = msgspec.field(default_factory=Sold)
    fulfilment: list[AnyStep] = []
    on_refund: OnRefund = msgspec.field(default_factory=OnRefund)

    def limit(self, choice: str) -> int | None:
        """How many of a choice (see `choice`) there are to sell in all; None without a limit."""
        return self.stock.get(choice) if isinstance(self.stock, dict) else self.stock


def choice(options: Mapping[str, str]) -> str:
    """What `stock` calls a choice of options: their values in order, `S / Blue`."""
    return " / ".join(options.values())


class EveryOrder(Struct):
    """Steps that belong to the order as a whole, once: `on_refund` runs at each refund, partial or full.

    `on_parcel` runs once for each parcel that is sent.
    """

    fulfilment: list[AnyStep] = []
    on_parcel: list[AnyStep] = []
    on_refund: list[AnyStep] = []


class Catalogue(Struct):
    """The whole of shop.yml."""

    shop: Shop
    products: Annotated[list[Product], Meta(min_length=1)]
    platforms: Platforms = msgspec.field(default_factory=Platforms)
    mailing_list: MailingList | None = None
    stripe: StripeSettings = msgspec.field(default_factory=StripeSettings)
    every_order: EveryOrder = msgspec.field(default_factory=EveryOrder)
    checkout: CheckoutSettings = msgspec.field(default_factory=CheckoutSettings)
    site: Site = msgspec.field(default_factory=Site)
    alerts: AlertSettings = msgspec.field(default_factory=AlertSettings)

    def product(self, sku: str | None) -> Product | None:
        """The product with this sku, or None."""
        return next((product for product in self.products if product.sku == sku), None)

    def currency_of(self, product: Product) -> str:
        return product.currency or self.shop.currency

    def price_of(self, product: Product) -> int:
        """The product's price in minor units of `currency_of(product)`."""
        return money.to_minor(product.price, self.currency_of(product))

    def stock_of(self, product: Product, options: Mapping[str, str]) -> int | None:
        """How many of this choice there are to sell in all; None without a limit."""
        return product.limit(choice(options))

    def sku_for(self, *, price_id: str | None, product_id: str | None, only_line_of: str | None) -> str | None:
        """The sku of a line item: by price, else by Stripe product, else by the payment link whose only line it is."""
        for field, value in (("price", price_id), ("product", product_id), ("payment_link", only_line_of)):
            found = [product.sku for product in self.products if value and getattr(product.stripe, field) == value]
            if found:
                return found[0]
        return None

    def steps(self) -> list[tuple[str, StepSpec]]:
        """Every step in the file with the place it stands at."""
        found: list[tuple[str, StepSpec]] = []
        for place, steps in self.step_lists():
            found += [(f"{place}[{number}]", step) for number, step in enumerate(steps)]
        return found

    def step_lists(self) -> list[tuple[str, list[AnyStep]]]:
        """Every list of steps with the place it stands at; `needs` refers to steps of the same list."""
        lists: list[tuple[str, list[AnyStep]]] = [
            ("every_order.fulfilment", self.every_order.fulfilment),
            ("every_order.on_parcel", self.every_order.on_parcel),
            ("every_order.on_refund", self.every_order.on_refund),
        ]
        for number, product in enumerate(self.products):
            lists.append((f"products[{number}].fulfilment", product.fulfilment))
            lists.append((f"products[{number}].on_refund.steps", product.on_refund.steps))
        return lists
