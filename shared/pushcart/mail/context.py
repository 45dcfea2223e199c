"""What a mail template may use: a step's request and the catalogue as one plain dict.

Every text in it is one clean line, amounts and times print in the reader's locale, and the whole can go to a
SendGrid dynamic template as JSON. Keys that do not apply are there and None, so that `{% if %}` works.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from urllib.parse import urlsplit

from babel import Locale

from pushcart import commands
from pushcart.domain.catalogue import Catalogue, PackStep
from pushcart.domain.order import Address, Buyer, Line, Payment, Shipping
from pushcart.domain.parcels import Parcel
from pushcart.mail.formats import Formats, tag_of
from pushcart.stepcall import OrderView, Problem, StepRequest

#: Names of result fields that mails may turn into links.
_LINK_FIELD = re.compile(r"(.+_)?(link|url)")
# Joiners inside emoji and Indic or Persian names; every other format character only hides or turns text.
_JOINERS = "\u200c\u200d"


def build(request: StepRequest, catalogue: Catalogue, formats: Formats, words: Locale) -> dict[str, Any]:
    """The context of one mail. `words` is the locale its words are in, which gives `lang` and `dir`."""
    shop, order = catalogue.shop, request.order
    lines = request.lines or (order.lines if order else [])
    product = Formats(words, catalogue.shop.timezone).listing([_product_name(line, catalogue) for line in lines])
    results = _clean(request.results)
    return {
        "lang": tag_of(words),
        "dir": words.text_direction,
        "locale": tag_of(formats.locale),
        "test_mode": order is not None and not order.payment.livemode,
        "shop": {"name": one_line(shop.name), "url": shop.url, "support": shop.support},
        "order": _order(order, catalogue, formats) if order else None,
        "buyer": _buyer(order.buyer if order else Buyer(), formats),
        "ship_to": _ship_to(order.shipping if order else None, formats),
        "product": product,
        "lines": [_line(line, order.payment.currency, formats) for line in lines] if order else [],
        "results": results,
        "access": [_access(result, product, formats) for result in results.values() if result.get("link")],
        "refund": _refund(request.refund, order.payment, formats) if order and request.refund is not None else None,
        "parcel": _parcel(request.parcel, lines, formats) if request.parcel else None,
        "problem": _problem(request.problem, formats) if request.problem else None,
    }


def one_line(text: str) -> str:
    """`text` on one line, without control characters or marks that hide or reverse what follows."""
    kept = (
        " " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char
        for char in text
        if unicodedata.category(char) not in ("Cf", "Cs", "Co") or char in _JOINERS
    )
    return " ".join("".join(kept).split())


def web_link(value: Any) -> str | None:
    """`value` if it is an http(s) address with a host, else None: `javascript:` never becomes a link."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s\"'<>\\]+", value, re.IGNORECASE):
        return None
    try:
        return value if urlsplit(value).hostname else None
    except ValueError:
        return None


def number_of(order_id: str) -> str:
    """A short number for people, `7K2M-9QXA`: the last eight letters and digits of the order's id."""
    short = re.sub(r"[^A-Za-z0-9]", "", order_id)[-8:].upper()
    return f"{short[:4]}-{short[4:]}" if len(short) == 8 else short


def _clean(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {str(key): _clean(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner, name) for inner in value]
    if _LINK_FIELD.fullmatch(name):
        return web_link(value)
    return one_line(value) if isinstance(value, str) else value


def _text(value: Any) -> str | None:
    return one_line(value) or None if isinstance(value, str) else None


def _product_name(line: Line, catalogue: Catalogue) -> str:
    product = catalogue.product(line.sku)
    return one_line(product.name if product else line.name)


def _person(name: str | None) -> str | None:
    """The name, unless it carries an address: a shop's mail must not advertise what a stranger typed in."""
    clean = _text(name)
    return None if clean and re.search(r"://|www\.", clean, re.IGNORECASE) else clean


def _order(order: OrderView, catalogue: Catalogue, formats: Formats) -> dict[str, Any]:
    payment = order.payment
    currency = payment.currency

    def amount(minor: int) -> Any:
        return formats.money(minor, currency) if minor else None

    # Stripe gives one tax amount, whether it lies on top of the prices or inside them; the sums tell which.
    net = payment.amount_subtotal - payment.amount_discount + payment.amount_shipping
    added = min(max(payment.amount_total - net, 0), payment.amount_tax)
    paid_at = order.paid_at or order.created_at
    return {
        "id": order.id,
        "number": number_of(order.id),
        "paid_at": formats.moment(paid_at),
        "paid_on": formats.day(paid_at),
        "currency": currency.upper(),
        "lines": [_line(line, currency, formats) for line in order.lines],
        "subtotal": formats.money(payment.amount_subtotal, currency),
        "discount": amount(payment.amount_discount),
        "tax": amount(payment.amount_tax),
        "tax_added": amount(added),
        "tax_included": amount(payment.amount_tax - added),
        "shipping": amount(payment.amount_shipping),
        "total": formats.money(payment.amount_total, currency),
        "refunded": amount(payment.amount_refunded),
        "payment_page": _payment_page(payment),
        "command": commands.show_order(order.id),
        "ship_command": commands.ship_order(order.id) if _packed(order, catalogue) else None,
    }


def _packed(order: OrderView, catalogue: Catalogue) -> bool:
    """Whether the owner packs something of it, and says so when it is sent."""
    products = [catalogue.product(line.sku) for line in order.lines]
    return any(isinstance(step, PackStep) for product in products if product for step in product.fulfilment)


def _payment_page(payment: Payment) -> str | None:
    """The payment in Stripe's dashboard, for the owner."""
    if payment.provider != "stripe" or not payment.payment_intent:
        return None
    mode = "" if payment.livemode else "test/"
    return f"https://dashboard.stripe.com/{mode}payments/{payment.payment_intent}"


def _line(line: Line, currency: str, formats: Formats) -> dict[str, Any]:
    return {
        "name": one_line(line.name),
        "sku": line.sku,
        "quantity": line.quantity,
        "unit": None if line.unit_amount is None else formats.money(line.unit_amount, currency),
        "subtotal": formats.money(line.amount_subtotal, currency),
        "discount": formats.money(line.amount_discount, currency) if line.amount_discount else None,
        "tax": formats.money(line.amount_tax, currency) if line.amount_tax else None,
        "total": formats.money(line.amount_total, currency),
    }


def _buyer(buyer: Buyer, formats: Formats) -> dict[str, Any]:
    return {
        "name": _person(buyer.name),
        "email": _text(buyer.email),
        "phone": _text(buyer.phone),
        "address": _address(buyer.address, formats) if buyer.address else None,
    }


def _ship_to(shipping: Shipping | None, formats: Formats) -> dict[str, Any] | None:
    if shipping is None:
        return None
    return {"name": _person(shipping.name), "address": _address(shipping.address, formats)}


def _address(address: Address, formats: Formats) -> dict[str, Any] | None:
    """The address's parts, and `rows`, its lines as on an envelope; None when nothing is known."""
    parts = {name: _text(getattr(address, name)) for name in Address.__struct_fields__}
    town = " ".join(part for part in (parts["postal_code"], parts["city"], parts["state"]) if part)
    parts["country_name"] = formats.country(parts["country"]) or None
    rows = [row for row in (parts["line1"], parts["line2"], town, parts["country_name"]) if row]
    return {**parts, "rows": rows} if rows else None


def _access(result: dict[str, Any], product: str, formats: Formats) -> dict[str, Any]:
    """A way in that a finished step gave; `until` is when the link or the access ends."""
    until = result.get("expires_at")
    return {
        "product": product,
        "link": result["link"],
        "note": _text(result.get("note")),
        "until": formats.moment(until) if until else None,
        "existing_member": bool(result.get("existing_member")),
    }


def _refund(minor: int, payment: Payment, formats: Formats) -> dict[str, Any]:
    return {
        "amount": formats.money(minor, payment.currency),
        "total_refunded": formats.money(payment.amount_refunded, payment.currency),
        "is_full": payment.amount_refunded >= payment.amount_total,
    }


def _parcel(parcel: Parcel, lines: list[Line], formats: Formats) -> dict[str, Any]:
    """The parcel that was sent; what is in it is called as the buyer bought it, where that is known."""
    names = {line.id: line.name for line in lines}
    return {
        "carrier": _text(parcel.carrier),
        "service": _text(parcel.service),
        "number": _text(parcel.tracking_number),
        "link": web_link(parcel.tracking_url),
        "sent_on": formats.day(parcel.shipped_at),
        "contents": [
            {"name": one_line(names.get(item.line or "") or item.name), "quantity": item.quantity}
            for item in parcel.items
        ],
        "more": parcel.more,
        "reshipment": parcel.reshipment,
    }


def _problem(problem: Problem, formats: Formats) -> dict[str, Any]:
    return {
        "code": problem.code,
        "text": one_line(problem.text),
        "since": formats.moment(problem.since),
        "command": one_line(problem.command),
        "remedy": one_line(problem.remedy) if problem.remedy else None,
    }
