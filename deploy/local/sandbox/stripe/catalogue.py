"""What the shop sells at Stripe: products, prices, payment links, and the lines of a sale."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from local.sandbox.stripe import catalogue_objects as shape
from local.sandbox.stripe.catalogue_objects import Object
from local.sandbox.stripe.errors import StripeError
from local.sandbox.stripe.events import Events

Item = dict[str, Any]


class Catalogue(Events):
    """Ids may be fixed by the caller, because the shop's own file names them."""

    def add_payment_link(
        self,
        items: Sequence[Item],
        link_id: str | None = None,
        *,
        shipping_countries: Sequence[str] | None = None,
        shipping_amount: int | None = None,
        success_url: str | None = None,
        metadata: dict[str, str] | None = None,
    ) -> Object:
        """A payment link for items of {sku, name, unit_amount, currency, quantity=1, price_id?, product_id?}.

        Amounts are in the currency's minor unit. `shipping_countries` makes the link ask for an address,
        `shipping_amount` adds one shipping rate. What exists already under a given id is replaced.
        """
        with self.lock:
            prices = [self._item_price(item) for item in items]
            lines = self.make_lines([(p, int(i.get("quantity", 1))) for p, i in zip(prices, items, strict=True)])
            link_id = link_id or self.world.ids.stripe("plink_")
            fields: Object = {"metadata": dict(metadata or {})}
            if shipping_countries:
                fields["shipping_address_collection"] = {"allowed_countries": list(shipping_countries)}
            if shipping_amount is not None:
                rate = self.make_rate("Shipping", shipping_amount, prices[0]["currency"])
                fields["shipping_options"] = [self.shipping_option(rate)]
            if success_url:
                fields["after_completion"] = {"redirect": {"url": success_url}, "type": "redirect"}
            return copy.deepcopy(self.make_link(link_id, lines, **fields))

    def make_link(self, link_id: str, lines: list[Object], **fields: Any) -> Object:
        self.lines[link_id] = lines
        return self.keep(
            shape.payment_link(link_id, lines[0]["currency"], f"{self.world.url}/stripe/pay/{link_id}", **fields)
        )

    def make_rate(self, name: str, amount: int, currency: str, **fields: Any) -> Object:
        rate_id = self.world.ids.stripe("shr_")
        return self.keep(shape.shipping_rate(rate_id, self.world.timestamp(), name, amount, currency, **fields))

    @staticmethod
    def shipping_option(rate: Object) -> Object:
        return {"shipping_amount": rate["fixed_amount"]["amount"], "shipping_rate": rate["id"]}

    def _item_price(self, item: Item) -> Object:
        product_id = item.get("product_id") or self.world.ids.stripe("prod_")
        product = self.make_product(product_id, item["name"], metadata={"sku": item["sku"]})
        return self.make_price(
            item.get("price_id") or self.world.ids.stripe("price_"), product, item["currency"], int(item["unit_amount"])
        )

    def make_product(self, product_id: str, name: str, **fields: Any) -> Object:
        return self.keep(shape.product(product_id, self.world.timestamp(), name, **fields))

    def make_price(self, price_id: str, product: Object, currency: str, amount: int, **fields: Any) -> Object:
        price = self.keep(
            shape.price(price_id, self.world.timestamp(), product["id"], currency.lower(), amount, **fields)
        )
        product["default_price"] = product["default_price"] or (price_id if price["active"] else None)
        return price

    def make_lines(self, parts: list[tuple[Object, int]]) -> list[Object]:
        """Line items for (price, quantity) pairs, which must share one currency."""
        if not parts:
            raise StripeError(400, "Missing required param: line_items.", code="parameter_missing", param="line_items")
        if len({price["currency"] for price, _ in parts}) > 1:
            raise StripeError(400, "All prices must use the same currency.", param="line_items")
        return [
            shape.line_item(
                self.world.ids.stripe("li_"),
                copy.deepcopy(price),
                quantity,
                self.find("product", price["product"])["name"],
            )
            for price, quantity in parts
        ]

    def copy_lines(self, lines: list[Object]) -> list[Object]:
        """The same lines for another owner: each sale has line items with ids of its own."""
        return [copy.deepcopy(line) | {"id": self.world.ids.stripe("li_")} for line in lines]
