"""`pushcart stock`: how many of each product were sold, and how many are left."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from cli.connect import CHECKOUT, Shop
from cli.output import as_json_option, print_json, say, table

#: From here on a product is nearly sold out.
FEW = 5


@click.command()
@as_json_option
@click.pass_obj
def stock(shop: Shop, as_json: bool) -> None:
    """What was sold, and what is left of it.

    Held is what buyers have in a checkout that is not paid yet. Where shop.yml sets no stock:, there is no end to it.
    """
    counts = shop.get("/stock", CHECKOUT)
    if as_json:
        print_json(counts)
    elif not counts:
        say("Nothing is counted: the shop sells nothing yet.")
    else:
        columns = ("Product", "Name", "Choice", "Stock", "Sold", "Held", "Left")
        table(columns, map(_row, counts), whole=("Product", "Stock", "Sold", "Held", "Left"))


def _row(count: dict[str, Any]) -> tuple[str | Text, ...]:
    numbers = (_number(count["stock"]), str(count["sold"]), str(count["held"]))
    return count["sku"], count["name"], count["choice"], *numbers, _left(count["left"])


def _number(count: int | None) -> str:
    return "no end" if count is None else str(count)


def _left(left: int | None) -> Text:
    style = "" if left is None or left > FEW else "yellow" if left > 0 else "bold red"
    return Text(_number(left), style=style)
