"""Line items as parameters give them: a price, or the data for one made on the fly."""

from __future__ import annotations

from typing import Any

from local.sandbox.stripe.catalogue import Catalogue
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.offers import tax_behaviour
from local.sandbox.stripe.params import integer, metadata, required

Params = dict[str, Any]
_MOST_LINES = 100
_MOST_AMOUNT = 99_999_999


def unit_amount(params: Params, param: str = "unit_amount") -> int:
    required(params, "unit_amount", param)
    amount = integer(params, "unit_amount", least=0, most=_MOST_AMOUNT, param=param)
    assert amount is not None
    return amount


def find_product(sb: Catalogue, params: Params, prefix: str = "") -> Object:
    """The product that the parameters name or describe; `prefix` is where they stand."""

    def at(name: str) -> str:
        return f"{prefix}[{name}]" if prefix else name

    if params.get("product"):
        return sb.find("product", params["product"], at("product"))
    data = required(params, "product_data", at("product_data"))
    return sb.make_product(
        sb.world.ids.stripe("prod_"),
        required(data, "name", f"{at('product_data')}[name]"),
        metadata=metadata(data, f"{at('product_data')}[metadata]"),
        description=data.get("description"),
        images=data.get("images", []),
        tax_code=data.get("tax_code"),
    )


def make_lines(sb: Catalogue, params: Params) -> list[Object]:
    items = required(params, "line_items")
    if not isinstance(items, list):
        raise StripeError(400, "Invalid array", param="line_items")
    if len(items) > _MOST_LINES:
        raise StripeError(400, f"You may only specify up to {_MOST_LINES} line items.", param="line_items")
    return sb.make_lines([_line(sb, item, f"line_items[{index}]") for index, item in enumerate(items)])


def _line(sb: Catalogue, item: Params, where: str) -> tuple[Object, int]:
    required(item, "quantity", f"{where}[quantity]")
    quantity = integer(item, "quantity", least=1, param=f"{where}[quantity]")
    assert quantity is not None
    if ("price" in item) == ("price_data" in item):
        raise StripeError(400, "You must specify either `price` or `price_data` for each line item.", param=where)
    if "price" in item:
        price = sb.find("price", item["price"], f"{where}[price]")
        if not price["active"]:
            raise StripeError(400, f"The price specified is inactive: {price['id']}.", param=f"{where}[price]")
        return price, quantity
    data, at = item["price_data"], f"{where}[price_data]"
    product = find_product(sb, data, at)
    # Prices made on the fly are not active: they cannot be sold again.
    price = sb.make_price(
        sb.world.ids.stripe("price_"),
        product,
        required(data, "currency", f"{at}[currency]"),
        unit_amount(data, f"{at}[unit_amount]"),
        tax_behavior=tax_behaviour(data, f"{at}[tax_behavior]"),
        active=False,
    )
    return price, quantity
