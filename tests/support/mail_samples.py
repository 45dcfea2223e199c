"""Step requests as order-store sends them, for the tests of the mails."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from pushcart import commands, shopfile
from pushcart.config import Config, Reads
from pushcart.domain.catalogue import Catalogue
from pushcart.domain.order import Address, Buyer, Line, Payment, Shipping
from pushcart.domain.parcels import Parcel, ParcelItem
from pushcart.mail import context
from pushcart.mail.formats import Formats, locale_of
from pushcart.mail.render import Rendered, Renderer
from pushcart.stepcall import OrderView, Problem, StepRequest

MAILS = shopfile.PACKED / shopfile.MAILS
BUYER_MAILS = ("receipt", "your-access", "how-is-it-going", "refund", "your-cart", "your-parcel")
ADMIN_MAILS = ("owners-notice", "something-needs-you", "please-pack")
NAMES = (*BUYER_MAILS, *ADMIN_MAILS)
ORDER_ID = "o-4kz7q2m3xw5ytbn6cvd2pjh7ra"
HOSTILE = '"><script>alert(1)</script>{{ 7*7 }}{% if %}\r\nBcc: x@example.org\u202e'
INVITE = "https://forum.meadow-pottery.example/invites/5f3bQx81LmPz"

_VOID = {"meta", "br", "img", "hr", "link", "input"}


class Page(HTMLParser):
    """The parts of a page a test asks about; fails when a tag is closed that was not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.links: list[str | None] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "a":
            self.links.append(dict(attrs)["href"])
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@cache
def catalogue() -> Catalogue:
    return shopfile.load(Config(Reads(variables=("shop_file",), may_need=("shop",)), {"secret_mount_path": "/nowhere"}))


def line(name: str = "Throwing on the Wheel", amount: int = 4900, quantity: int = 1, **changes: Any) -> Line:
    fields = {
        "id": f"li_{name[:5]}",
        "name": name,
        "sku": {"Throwing on the Wheel": "wheel-basics", "Glaze Chemistry": "glaze-chemistry"}.get(name),
        "quantity": quantity,
        "unit_amount": amount,
        "amount_subtotal": amount * quantity,
        "amount_total": amount * quantity,
    }
    return Line(**{**fields, **changes})


def order(
    lines: list[Line] | None = None, buyer: Buyer | None = None, currency: str = "eur", **payment: Any
) -> OrderView:
    """A paid order in live mode; further arguments are fields of its payment, in minor units."""
    lines = lines or [line()]
    subtotal = sum(one.amount_subtotal for one in lines)
    money = {
        "provider": "stripe",
        "session_id": "cs_live_a1B2",
        "payment_intent": "pi_3PushcartSample",
        "livemode": True,
        "amount_subtotal": subtotal,
        "amount_total": subtotal,
        **payment,
    }
    return OrderView(
        id=ORDER_ID,
        created_at="2026-11-21T08:41:02.000Z",
        paid_at="2026-11-21T08:45:36.120Z",
        payment_status="paid",
        payment=Payment(currency=currency, **money),
        buyer=buyer or Buyer(email="ada@example.org", name="Ada Lovelace", locale="en-GB"),
        lines=lines,
    )


def request(name: str, view: OrderView | None = None, **changes: Any) -> StepRequest:
    """The request for the mail `name`, with what the steps before it gave."""
    view = view or order(amount_refunded=4900 if name == "refund" else 0)
    to = "admins" if name in ADMIN_MAILS else "buyer"
    fields: dict[str, Any] = {
        "key": f"{view.id}.{name}",
        "step": name,
        "kind": "email",
        "config": {"template": name, "sendgrid_template": None, "to": to},
        "order": view,
        "lines": view.lines,
    }
    if name in ("your-access", "how-is-it-going"):
        fields["results"] = {
            "invite": {"platform": "discourse", "link": INVITE, "expires_at": "2026-12-21T08:45:36.000Z"},
            "purchase": {"via": "kit"},
        }
    if name == "refund":
        fields["refund"] = view.payment.amount_refunded or view.payment.amount_total
    if name == "something-needs-you":
        fields["problem"] = problem(commands.show_order(view.id), commands.retry_order(view.id))
    if name == "your-parcel":
        fields["parcel"] = parcel(*view.lines)
    return StepRequest(**{**fields, **changes})


def parcel(*lines: Line, **changes: Any) -> Parcel:
    """A parcel with these lines in it, as their provider calls them."""
    fields: dict[str, Any] = {
        "provider": "printful",
        "id": "10",
        "carrier": "DPD",
        "tracking_number": "13490015284111",
        "tracking_url": "https://tracking.dpd.example/parcel/13490015284111",
        "shipped_at": "2026-11-23T14:05:00.000Z",
        "items": [ParcelItem(name=f"{one.name} (as printed)", quantity=one.quantity, line=one.id) for one in lines],
    }
    return Parcel(**{**fields, **changes})


def problem(command: str, remedy: str | None = None) -> Problem:
    return Problem(
        code="dead_step",
        text="The step wheel-basics.invite gave up after 8 attempts: Discourse: POST /invites.json: 403 You "
        "are not permitted to view the requested resource; look at the secret discourse-api-key",
        since="2026-11-21T09:02:10.000Z",
        command=command,
        remedy=remedy,
    )


def rich_order() -> OrderView:
    """Several lines with discount, shipping and tax on top, sent to an address, bought by a Pole."""
    address = Address(line1="ul. Długa 12/3", city="Kraków", postal_code="31-146", country="PL")
    view = order(
        [
            line(quantity=2),
            line("Glaze Chemistry", 7900),
            line("Hand-dyed linen apron with two deep pockets", 3450),
        ],
        Buyer(
            email="zofia.kowalska@example.pl",
            name="Zofia Kowalska",
            phone="+48 600 100 200",
            locale="pl",
            address=address,
        ),
        amount_discount=2115,
        amount_shipping=590,
        amount_tax=4566,
        amount_total=24191,
    )
    view.shipping = Shipping(name="Zofia Kowalska", address=address)
    return view


def left_cart() -> OrderView:
    """A cart that somebody left before paying, with a discount and a parcel."""
    view = order(
        [line("Studio Apron (M)", 3400, quantity=2), line("Glaze Chemistry", 7900)],
        amount_discount=1470,
        amount_shipping=350,
        amount_total=13580,
        payment_intent=None,
    )
    view.paid_at, view.payment_status = None, "unpaid"
    return view


def render(call: StepRequest, folder: Path = MAILS, shop: Catalogue | None = None) -> Rendered:
    """The mail as email-dispatch makes it: admins read the shop's locale, buyers their own."""
    shop = shop or catalogue()
    own = locale_of(shop.shop.locale)
    tag = call.order.buyer.locale if call.order and call.config["to"] == "buyer" else None
    formats = Formats(locale_of(tag) or own, shop.shop.timezone)
    renderer, name = Renderer(folder), call.config["template"]
    values = context.build(call, shop, formats, renderer.written_in(name, formats.locale) or own)
    return renderer.render(name, values, formats)
