"""`pushcart orders packing` and `ship`: what the owner packs and sends by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from cli.carriers import tracking_page
from cli.connect import SaidNo, Shop
from cli.order_id import OrderId, one_order
from cli.output import as_json_option, change_each, go_ahead, print_json, say, yes_option
from cli.shopfile import SHOP_FILE
from cli.show_order import goes_to
from pushcart import commands
from pushcart.domain import delivery
from pushcart.domain.order import DELIVERED_FOR, FulfilmentStatus, Line, Order
from pushcart.errors import CatalogueError, PushcartError


class Item(click.ParamType):
    """`studio-apron=2`: so many of a line, by its product or its own id."""

    name = "item"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, int]:
        name, equals, quantity = str(value).rpartition("=")
        if not (name and equals and quantity.isascii() and quantity.isdecimal() and 0 < int(quantity) < 10**6):
            self.fail(f"{value!r} is no item; write it like studio-apron=2.", param, context)
        return name, int(quantity)


class WebAddress(click.ParamType):
    """An http(s) address that may go into a mail."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> str:
        from pushcart.mail.context import web_link

        link = web_link(value)
        if link is None or len(link) > 500:
            self.fail(f"{value!r} is no web address; write it like https://track.example/123.", param, context)
        return link


def _words(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Neither nothing nor more than the shop takes."""
    most = 60 if option.name == "carrier" else 100
    text = value.strip() if value is not None else None
    if text is not None and not 1 <= len(text) <= most:
        raise click.BadParameter(f"should have 1 to {most} characters.", context, option)
    return text


@click.command("ship")
@one_order
@click.option("--carrier", required=True, callback=_words, help="Who carries it, such as DHL.")
@click.option("--tracking", metavar="NUMBER", callback=_words, help="The parcel's number there.")
@click.option("--url", type=WebAddress(), help="Where the buyer can follow it; known of well-known carriers.")
@click.option(
    "--item", "items", type=Item(), multiple=True, metavar="WHAT=N", help="Only so many of this; without it, all."
)
@yes_option
@as_json_option
@click.pass_obj
def ship(
    shop: Shop,
    order_id: str,
    carrier: str,
    tracking: str | None,
    url: str | None,
    items: tuple[tuple[str, int], ...],
    yes: bool,
    as_json: bool,
) -> None:
    """You sent a parcel of what you pack yourself.

    All that is left goes into it, or what --item names: a product by its short name in shop.yml, or a line by its id.
    """
    raw = shop.get(f"/orders/{order_id}")
    order = msgspec.convert(raw, Order)
    try:
        pieces = delivery.pieces_of(order, _pieces(order, items) if items else None)
    except PushcartError as error:
        raise SaidNo(error.message) from None
    url = url or (tracking_page(carrier, tracking) if tracking else None)
    number = f", number {tracking}" if tracking else ", without a number"
    about = [f"{order_id}: a parcel with {carrier}{number}"]
    about += [f"  goes to      {goes_to(raw['shipping']) or 'an address that did not come with the order'}"]
    about += [f"  to follow at {url or 'no address; --url gives one'}"]
    about += _contents(order, pieces)
    go_ahead(about, yes=yes)
    body = {
        "carrier": carrier,
        "tracking_number": tracking,
        "tracking_url": url,
        "pieces": pieces,
        "version": order.version,
    }
    change_each([order_id], lambda id: shop.post(f"/orders/{id}/ship", body), "order", as_json=as_json)


def _pieces(order: Order, items: tuple[tuple[str, int], ...]) -> dict[str, int]:
    """By line id. `SaidNo` for what the order does not have, or has more than once."""
    pieces: dict[str, int] = {}
    for name, quantity in items:
        found = [line.id for line in order.lines if name == line.id] or [
            line.id for line in order.lines if name == line.sku
        ]
        if not found:
            raise SaidNo(f"Order {order.id} has no {name}; it has {', '.join(map(_called, order.lines))}.")
        if len(found) > 1:
            lines = ", ".join(_called(line) for line in order.lines if line.id in found)
            raise SaidNo(f"Order {order.id} has {name} on {len(found)} lines; name one by its id: {lines}.")
        pieces[found[0]] = pieces.get(found[0], 0) + quantity
    return pieces


def _called(line: Line) -> str:
    return f"{line.id} ({line.name})"


def _contents(order: Order, pieces: dict[str, int]) -> list[str]:
    """What goes into the parcel, and what is left to be packed afterwards."""
    names = {line.id: line.name for line in order.lines}
    left = {id: count - pieces.get(id, 0) for id, count in delivery.to_pack(order).items()}
    rest = ", ".join(f"{count} x {names[id]}" for id, count in left.items() if count)
    told = [f"  in it        {count} x {names[id]}" for id, count in pieces.items()]
    return [*told, f"  still to go  {rest}" if rest else "  and that is all that you pack of it"]


@click.command("packing")
@click.argument("order_ids", metavar="[ID]...", type=OrderId(), nargs=-1)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("packing.html"),
    show_default=True,
    help="The file to write.",
)
@as_json_option
@click.pass_obj
def packing(shop: Shop, order_ids: tuple[str, ...], output: Path, as_json: bool) -> None:
    """Packing lists to print, one order a sheet.

    Of the orders that you name, or of all that wait to be packed. The file holds addresses: only you can read it.
    """
    if order_ids:
        waiting, held = [_to_pack(shop, order_id) for order_id in dict.fromkeys(order_ids)], []
    else:
        waiting, held = _every(shop, FulfilmentStatus.IN_PROGRESS), _every(shop, FulfilmentStatus.NEEDS_ATTENTION)
    if waiting:
        # Only here: what names countries takes a while to import.
        from cli.packing_sheets import page

        _write(output, page(waiting, _timezone()))
    if as_json:
        file = str(output) if waiting else None
        print_json({"file": file, "orders": [one.id for one in waiting], "held": [one.id for one in held]})
        return
    sheets = f"{len(waiting)} sheet{'s' if len(waiting) > 1 else ''}"
    say(f"{sheets} in {output}: open it and print." if waiting else "Nothing waits to be packed.")
    for order in held:
        say(f"Left out, because it needs you first: {commands.show_order(order.id)}")


def _timezone() -> str:
    """The shop's by the shop.yml that lies here; UTC where that cannot be read."""
    from pushcart import shopfile

    try:
        return shopfile.read(SHOP_FILE).shop.timezone
    except CatalogueError:
        return "UTC"


def _to_pack(shop: Shop, order_id: str) -> Order:
    """The order; `SaidNo` when there is nothing in it to be packed."""
    order = _read(shop, order_id)
    try:
        delivery.pieces_of(order, None)
    except PushcartError as error:
        raise SaidNo(error.message) from None
    return order


def _every(shop: Shop, status: FulfilmentStatus) -> list[Order]:
    """Every order with this status of which something is to be packed, the oldest first."""
    found = shop.pages("/orders", {"fulfilment_status": status})["items"]
    paid = [one["id"] for one in found if one["payment_status"] in DELIVERED_FOR]
    orders = [order for order_id in paid if delivery.to_pack(order := _read(shop, order_id))]
    return sorted(orders, key=lambda order: (order.paid_at or order.created_at, order.id))


def _read(shop: Shop, order_id: str) -> Order:
    return msgspec.convert(shop.get(f"/orders/{order_id}"), Order)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for the owner's eyes only: it holds addresses."""
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=".packing-", encoding="utf-8", delete=False
        ) as new:
            new.write(text)
        Path(new.name).replace(path)
    except OSError as error:
        raise SaidNo(f"{path} cannot be written ({error.strerror}); --output names another file.") from None
