"""Printful's objects in the shapes of its API v1, what they cost, and the checks it makes on an order.

https://developers.printful.com/docs/#tag/Orders-API. The words of OR-13, of a missing file and of the 4xx in general
are Printful's; those of an address or an item that is wrong are like them.
"""

from __future__ import annotations

import copy
import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from local.sandbox.stripe.countries import country_name

Json = dict[str, Any]

CURRENCY = "USD"
STORE_ID = 952434
CATALOGUE_PRICE = "13.00"
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_NEEDED = {
    "name": "Name",
    "address1": "Address line 1",
    "city": "City",
    "country_code": "Country code",
    "zip": "ZIP/Postal code",
}
NEED_STATE = frozenset(("US", "CA", "AU"))
_NO_ZIP = frozenset(("AE", "AG", "BS", "BZ", "FJ", "HK", "JM", "PA", "QA", "UG", "ZW"))
_EU = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())
# The first piece and each further one.
SHIPPING = {
    "STANDARD": ("3.99", "1.25"),
    "PRINTFUL_FAST": ("7.99", "2.00"),
    "EXPRESS": ("19.99", "4.00"),
}
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    429: "TooManyRequests",
    500: "InternalServerError",
}
_COSTS = ("subtotal", "discount", "shipping", "digitization", "additional_fee", "fulfillment_fee")
_COSTS += ("retail_delivery_fee", "tax", "vat", "total")
_RECIPIENT = ("name", "company", "address1", "address2", "city", "state_code", "state_name", "country_code")
_RECIPIENT += ("country_name", "zip", "phone", "email")


class PrintfulError(ValueError):
    """What Printful refuses. `code` is its own number of the error (OR-13), where it has one."""

    def __init__(self, message: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def as_json(self) -> Json:
        return error_body(str(self), self.status, self.code)


def error_body(message: str, status: int, code: str | None = None) -> Json:
    error = {"reason": _REASONS.get(status, "Error"), "message": message}
    return {"code": status, "result": message, "error": error | ({"api_error_code": code} if code else {})}


def cents(amount: Any) -> int:
    """`"12.95"` to 1295: all of Printful's money has two decimals."""
    return int((Decimal(str(amount)) * 100).to_integral_value(ROUND_HALF_UP))


def dollars(amount: int) -> str:
    return f"{Decimal(amount) / 100:.2f}"


def check_external_id(external_id: Any) -> str | None:
    if external_id is None or external_id == "":
        return None
    if not isinstance(external_id, str | int) or not _EXTERNAL_ID.fullmatch(str(external_id)):
        raise PrintfulError("External ID is too long or contains invalid characters")
    return str(external_id)


def recipient(sent: Any) -> Json:
    """The address as Printful keeps it. Raises PrintfulError for one that it would refuse."""
    if not isinstance(sent, dict):
        raise PrintfulError("Missing required parameters")
    address = {key: (str(sent[key]).strip() or None) if sent.get(key) is not None else None for key in _RECIPIENT}
    country = (address["country_code"] or "").upper()
    for key, label in _NEEDED.items():
        if not address[key] and not (key == "zip" and country in _NO_ZIP):
            raise PrintfulError(f"Recipient: {label} is missing")
    if not re.fullmatch("[A-Z]{2}", country):
        raise PrintfulError(f"Recipient: Invalid country code: {address['country_code']}")
    if country in NEED_STATE and not address["state_code"]:
        raise PrintfulError("Recipient: State code is missing")
    address |= {"country_code": country, "country_name": country_name(country)}
    return address | ({"tax_number": sent["tax_number"]} if sent.get("tax_number") else {})


def item(sent: Any, index: int, item_id: int, variants: dict[int, Json]) -> Json:
    """One line of an order. `variants` are the store's own (sync variants): `name`, `price` and `retail_price`."""
    if not isinstance(sent, dict):
        raise PrintfulError(f"Item {index}: The item provided is not an array", code="OR-5")
    quantity = sent.get("quantity", 1)
    if isinstance(quantity, bool) or not str(quantity).isdigit() or not 1 <= int(quantity) <= 1000:
        raise PrintfulError(f"Item {index}: Invalid quantity")
    sync = sent.get("sync_variant_id")
    known = variants.get(int(sync)) if str(sync or "").isdigit() else None
    if sync is not None and known is None:
        raise PrintfulError(f"Item {index}: Sync variant not found")
    if known is None and not str(sent.get("variant_id") or "").isdigit():
        raise PrintfulError(f"Item {index}: Missing variant_id", code="PR-1")
    variant_id = 4011 if known else int(sent["variant_id"])
    name = sent.get("name") or (known["name"] if known else f"Product {variant_id}")
    return {
        "id": item_id,
        "external_id": check_external_id(sent.get("external_id")),
        "variant_id": variant_id,
        "sync_variant_id": int(sync) if known else None,
        "external_variant_id": None,
        "quantity": int(quantity),
        "price": known["price"] if known else CATALOGUE_PRICE,
        "retail_price": _retail(sent.get("retail_price"), index) or (known or {}).get("retail_price"),
        "name": name,
        "product": {
            "variant_id": variant_id,
            "product_id": 71,
            "image": "https://www.printful.com/products/71/4012_1517927381.jpg",
            "name": "Bella + Canvas 3001 Unisex Short Sleeve Jersey T-Shirt with Tear Away Label (White / S)",
        },
        "files": [_file(item_id)] if known else [_file(item_id, f.get("url")) for f in sent.get("files") or []],
        "options": [],
        "sku": None,
        "discontinued": False,
        "out_of_stock": False,
    }


def _retail(price: Any, index: int) -> str | None:
    if price in (None, ""):
        return None
    if not re.fullmatch(r"\d+(\.\d{1,2})?", str(price)):
        raise PrintfulError(f"Item {index}: Invalid retail price")
    return dollars(cents(price))


def _file(item_id: int, url: str | None = None) -> Json:
    return {
        "id": item_id + 1_000_000,
        "type": "default",
        "hash": None,
        "url": url,
        "filename": None if url else "printfile.png",
        "mime_type": None if url else "image/png",
        "size": 0 if url else 18660,
        "width": None if url else 1800,
        "height": None if url else 2400,
        "dpi": None if url else 150,
        "status": "waiting" if url else "ok",
        "created": 1539329978,
        "thumbnail_url": None,
        "preview_url": None,
        "visible": bool(url),
    }


def costs(items: list[Json], method: str, country: str) -> Json:
    """What Printful asks of the shop. US: 8.25 % tax on all, EU: 21 % VAT; elsewhere neither."""
    pieces = sum(line["quantity"] for line in items)
    subtotal = sum(cents(line["price"]) * line["quantity"] for line in items)
    first, further = SHIPPING[method]
    shipping = cents(first) + cents(further) * (pieces - 1)
    tax = _share(subtotal + shipping, "0.0825") if country == "US" else 0
    vat = _share(subtotal + shipping, "0.21") if country in _EU else 0
    amounts = (subtotal, 0, shipping, 0, 0, 0, 0, tax, vat, subtotal + shipping + tax + vat)
    return {"currency": CURRENCY} | {name: dollars(n) for name, n in zip(_COSTS, amounts, strict=True)}


def _share(amount: int, rate: str) -> int:
    return int((amount * Decimal(rate)).to_integral_value(ROUND_HALF_UP))


def unknown_costs() -> Json:
    """The costs of an order while they are still being computed."""
    return {"currency": CURRENCY} | dict.fromkeys(_COSTS)


def retail_costs(sent: Any, items: list[Json]) -> Json:
    """What the buyer paid, as far as the shop said so."""
    given = sent if isinstance(sent, dict) else {}
    prices = [line["retail_price"] for line in items]
    subtotal = None
    if all(prices):
        subtotal = dollars(sum(cents(p) * line["quantity"] for p, line in zip(prices, items, strict=True)))
    found = {name: given.get(name) for name in ("discount", "shipping", "tax", "vat", "total")}
    return {"currency": given.get("currency") or CURRENCY, "subtotal": given.get("subtotal") or subtotal} | found


def order(number: int, external_id: str | None, now: int, address: Json, items: list[Json], sent: Json) -> Json:
    """A draft, without its costs."""
    method = sent.get("shipping") or "STANDARD"
    if method not in SHIPPING:
        raise PrintfulError(f"Invalid shipping method: {method}", code="OR-4")
    return {
        "id": number,
        "external_id": external_id,
        "store": STORE_ID,
        "status": "draft",
        "error": None,
        "shipping": method,
        "shipping_service_name": "Flat Rate (3-4 business days after fulfillment)",
        "created": now,
        "updated": now,
        "recipient": address,
        "notes": sent.get("notes"),
        "items": items,
        "branding_items": [],
        "incomplete_items": [],
        "is_sample": False,
        "needs_approval": False,
        "not_synced": False,
        "has_discontinued_items": False,
        "can_change_hold": True,
        "costs": unknown_costs(),
        "retail_costs": retail_costs(sent.get("retail_costs"), items),
        "pricing_breakdown": [],
        "shipments": [],
        "gift": copy.deepcopy(sent.get("gift")),
        "packing_slip": copy.deepcopy(sent.get("packing_slip")),
        "dashboard_url": f"https://www.printful.com/dashboard?order_id={number}",
    }


def shipment(
    shipment_id: int, now: int, day: str, carrier: str, tracking: str, contents: dict[int, int], reshipment: bool
) -> Json:
    """A parcel; `contents` are pieces by item id, `day` is `2026-11-20`."""
    return {
        "id": shipment_id,
        "carrier": carrier,
        "service": f"{carrier} Standard",
        "tracking_number": tracking,
        "tracking_url": f"https://www.{carrier.lower()}.example/track/{tracking}",
        "created": now,
        "ship_date": day,
        "shipped_at": now,
        "reshipment": reshipment,
        "items": [{"item_id": i, "quantity": n, "picked": n, "printed": n} for i, n in contents.items()],
    }
