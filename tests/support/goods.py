"""A shop with things that are printed and things that are packed, and what Printful says about its orders."""

from __future__ import annotations

from typing import Any

import msgspec

from pushcart.clock import Instant, later
from pushcart.domain import delivery, payment, steps
from pushcart.domain.order import Address, Line, Order, Shipping
from pushcart.domain.parcels import Costs, Parcel, ParcelItem, PrintFacts, PrintNews
from pushcart.domain.payment import PaymentFacts
from support import shop
from support.shop import NOW, SHOP

GOODS = f"""{SHOP}
  - sku: shirt
    name: Shirt
    price: 25.00
    ships: true
    options:
      - {{name: Size, values: [M, L]}}
      - {{name: Colour, values: [Blue, Sea]}}
    fulfilment:
      - {{step: print, shipping: STANDARD, variants: {{M / Blue: 11, M / Sea: 12, L / Blue: 13, L / Sea: 14}}}}
      - {{step: email, template: care, needs: [print]}}
  - sku: poster
    name: Poster
    price: 15.00
    ships: true
    fulfilment:
      - {{step: purchase}}
      - {{step: print, id: poster-print, variant: 21, needs: [purchase], delay: 2 hours}}
    on_refund: {{cancel: false}}
  - sku: apron
    name: Apron
    price: 34.00
    ships: true
    fulfilment:
      - {{step: pack}}
      - {{step: email, template: please-pack, to: admins}}
      - {{step: email, template: thanks, needs: [pack]}}
checkout:
  shipping:
    countries: [PL, US]
    rates: [{{name: Post, price: 5}}]
""".replace(
    "  on_refund:\n    - {step: email, template: refund}\n",
    "  on_refund:\n    - {step: email, template: refund}\n  on_parcel:\n    - {step: email, template: your-parcel}\n",
    1,
)
CATALOGUE = shop.catalogue(GOODS)

PRICES = {"course": 4900, "shirt": 2500, "poster": 1500, "apron": 3400}
MAIL = "your-parcel"


def line(number: int, sku: str, quantity: int = 1, **options: str) -> Line:
    """One line of an order, by its product."""
    total = PRICES[sku] * quantity
    return Line(
        id=f"li_{number}",
        name=CATALOGUE.product(sku).name,
        quantity=quantity,
        unit_amount=PRICES[sku],
        amount_subtotal=total,
        amount_total=total,
        sku=sku,
        options=options,
    )


def shirt(number: int = 1, quantity: int = 1) -> Line:
    return line(number, "shirt", quantity, Size="M", Colour="Blue")


def paid(*lines: Line, **changes: Any) -> PaymentFacts:
    """The payment for these lines, sent to an address in Poland."""
    address = Address(line1="ul. Długa 12/3", city="Kraków", postal_code="31-146", country="PL")
    wanted = {"shipping": Shipping(name="Ann Kowalska", address=address), **changes}
    return shop.facts(lines=[msgspec.structs.replace(one) for one in lines or (shirt(),)], **wanted)


def bought(*lines: Line, now: Instant = NOW, **changes: Any) -> Order:
    """An order of these after its payment was read once; nothing of it has run."""
    order = shop.new_order()
    order.version = 3
    pay(order, *lines, now=now, **changes)
    return order


def pay(order: Order, *lines: Line, now: Instant = NOW, **changes: Any) -> None:
    """The payment is read again, as it is now."""
    payment.update(order, paid(*lines, **changes), CATALOGUE, now, "a look")


def placed(*lines: Line, now: Instant = NOW) -> Order:
    """An order whose print was placed, and everything else done that could be."""
    order = bought(*lines, now=now)
    shop.run_all(order, now)
    read(order, now=now)
    return order


def facts(status: str = "pending", *parcels: Parcel, at: float = 0, **changes: Any) -> PrintFacts:
    """What Printful says about its order 100, `at` seconds after it was placed."""
    values = {
        "number": "100",
        "external_id": "o-1",
        "status": status,
        "created_at": NOW,
        "updated_at": later(NOW, at),
        "costs": Costs(currency="EUR", subtotal=900, shipping=400, tax=0, total=1300),
        "parcels": [msgspec.convert(msgspec.to_builtins(one), Parcel) for one in parcels],
    }
    return PrintFacts(**{**values, **changes})


def parcel(number: int = 1, **changes: Any) -> Parcel:
    """One that Printful sent."""
    values = {
        "provider": "printful",
        "id": str(number),
        "carrier": "DPD",
        "tracking_number": f"1349{number}",
        "tracking_url": f"https://track.example/1349{number}",
        "shipped_at": NOW,
        "items": [ParcelItem(name="T-Shirt / M", quantity=1, line="li_1")],
    }
    return Parcel(**{**values, **changes})


def read(
    order: Order,
    seen: PrintFacts | None = None,
    *,
    now: Instant = NOW,
    news: PrintNews | None = None,
    event_id: str = "printful:e.1",
) -> None:
    """The order hears what Printful says."""
    delivery.update(order, seen or facts(), CATALOGUE, now, news=news, event_id=event_id)


def mails_of_parcels(order: Order) -> list[str]:
    """The parcels that a mail was planned for, as often as it was."""
    return [step.subject or "" for step in order.steps if step.name == MAIL]


def open_codes(order: Order) -> list[str]:
    """What needs a human, sorted."""
    return sorted(item.code for item in order.open_attention())


def finish(order: Order, now: Instant = NOW) -> list[str]:
    """Runs what is due, as `shop.run_all`; settles first."""
    steps.settle(order, now)
    return shop.run_all(order, now)
