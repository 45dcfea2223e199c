"""The order, or orders, that a command is about."""

from __future__ import annotations

import click


class OrderId(click.ParamType):
    """What can be an order's id; anything else would not reach the shop as it was written."""

    name = "order id"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> str:
        if not (value.isascii() and value.replace("-", "").replace("_", "").isalnum()):
            self.fail(f"{value!r} is no order id; pushcart orders list shows them.", param, context)
        return value


one_order = click.argument("order_id", metavar="ID", type=OrderId())
some_orders = click.argument("order_ids", metavar="ID...", type=OrderId(), nargs=-1, required=True)
