"""Packing lists as one page of HTML to print: A4, one order a sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from babel import Locale

from pushcart import commands
from pushcart.clock import from_instant
from pushcart.domain import delivery
from pushcart.domain.order import Address, Order, Shipping
from pushcart.mail.context import number_of, one_line

TEMPLATES = Path(__file__).parent / "templates"

#: Where the postal code stands behind the town, or below it: https://www.upu.int/en/postal-solutions/programmes-services/addressing-solutions
_CODE_LAST = frozenset({"AU", "CA", "US"})
_CODE_BELOW = frozenset({"GB", "IE"})

#: A country's name on an envelope is read abroad.
_ENGLISH = Locale("en")


def page(orders: list[Order], timezone: str) -> str:
    """The whole page: who gets what, boxes to tick, and the command to run once it was sent. No prices.

    Days are those of `timezone` (an IANA name), and say so.
    """
    zone = ZoneInfo(timezone)
    folder = jinja2.FileSystemLoader(TEMPLATES)
    jinja = jinja2.Environment(
        loader=folder, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return jinja.get_template("packing.html").render(sheets=[_sheet(order, zone) for order in orders])


def _sheet(order: Order, zone: ZoneInfo) -> dict[str, Any]:
    left = delivery.to_pack(order)
    buyer, phone = order.buyer, order.buyer.phone
    return {
        "number": number_of(order.id),
        "id": order.id,
        "paid_on": f"{from_instant(order.paid_at or order.created_at).astimezone(zone):%Y-%m-%d (%Z)}",
        "test": order.payment is not None and not order.payment.livemode,
        "envelope": envelope(order.shipping, buyer.name),
        "buyer": one_line(buyer.name) if buyer.name else None,
        "email": one_line(buyer.email) if buyer.email else None,
        "phone": one_line(phone) if phone else None,
        "lines": [
            {
                "name": one_line(line.name),
                "sku": line.sku,
                "quantity": left[line.id],
                "of": line.quantity,
                "options": [(one_line(name), one_line(value)) for name, value in line.options.items()],
            }
            for line in order.lines
            if line.id in left
        ],
        "pieces": sum(left.values()),
        "command": commands.ship_order(order.id),
    }


def envelope(shipping: Shipping | None, buyer: str | None) -> list[str]:
    """The lines of an address as on an envelope; empty when there is none."""
    address = shipping.address if shipping else Address()
    country = (address.country or "").upper()
    code, town, state = (address.postal_code or "", address.city or "", address.state or "")
    if country in _CODE_BELOW:
        towns = [town, code]
    elif country in _CODE_LAST:
        towns = [f"{town} {state} {code}"]
    else:
        towns = [f"{code} {town} {state}"]
    rows = [address.line1 or "", address.line2 or "", *towns, str(_ENGLISH.territories.get(country, country)).upper()]
    known = [text for row in rows if (text := one_line(row))]
    name = one_line((shipping.name if shipping else None) or buyer or "")
    return [name, *known] if name and known else known
