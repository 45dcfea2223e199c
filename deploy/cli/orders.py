"""`pushcart orders`: find them, see what happened, help them along."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from cli.connect import Shop
from cli.order_id import one_order, some_orders
from cli.output import (
    amount,
    as_json_option,
    change_each,
    coloured,
    go_ahead,
    listing,
    listing_options,
    moment,
    yes_option,
)
from cli.shipping import packing, ship
from cli.show_order import paid, show_order
from pushcart.domain.order import FulfilmentStatus, PaymentStatus

Json = dict[str, Any]


@click.group()
def orders() -> None:
    """Orders: list, show, and help them along."""


@orders.command("list")
@click.option("--payment-status", type=click.Choice([*map(str, PaymentStatus)]), help="Where the money is.")
@click.option("--fulfilment-status", type=click.Choice([*map(str, FulfilmentStatus)]), help="Where the goods are.")
@click.option("--email", help="The buyer's address.")
@click.option("--sku", help="A product's short name in shop.yml.")
@click.option("--since", metavar="TIME", help="Made then or later: 2026-11-21 or 2026-11-21T08:00:00Z.")
@click.option("--until", metavar="TIME", help="Made before then.")
@listing_options
@click.pass_obj
def list_orders(shop: Shop, limit: int, everything: bool, as_json: bool, **filters: str | None) -> None:
    """Orders, newest first."""
    page = shop.pages("/orders", filters, limit, everything=everything)
    columns = ("Order", "Made (UTC)", "Amount", "Payment", "Fulfilment", "Buyer", "Products")
    listing(page, "order", columns, _row, whole=("Order",), as_json=as_json)


def _row(order: Json) -> tuple[str | Text | None, ...]:
    return (
        order["id"],
        moment(order["created_at"]),
        amount(order["amount_total"], order["currency"]),
        coloured(order["payment_status"]),
        coloured(order["fulfilment_status"]),
        order["email"],
        ", ".join(order["skus"]),
    )


orders.add_command(show_order)


@orders.command("retry")
@some_orders
@click.option("--step", metavar="STEP", help="Only this step; without it, every dead one.")
@yes_option
@as_json_option
@click.pass_obj
def retry(shop: Shop, order_ids: tuple[str, ...], step: str | None, yes: bool, as_json: bool) -> None:
    """Try dead steps again, now."""
    read = [shop.get(f"/orders/{order_id}") for order_id in order_ids]
    go_ahead([f"{order['id']}: will try again: {step or _dead_steps(order)}" for order in read], yes=yes)
    body = {"step": step} if step else {}
    change_each(order_ids, lambda id: shop.post(f"/orders/{id}/retry", body), "order", as_json=as_json)


@orders.command("resend")
@one_order
@click.option("--step", metavar="STEP", required=True, help="The mail's step, such as receipt.")
@yes_option
@as_json_option
@click.pass_obj
def resend(shop: Shop, order_id: str, step: str, yes: bool, as_json: bool) -> None:
    """Send a mail once more."""
    order = shop.get(f"/orders/{order_id}")
    go_ahead([f"{order_id}: the mail {step} goes once more to {_recipient(order, step)}"], yes=yes)
    body = {"step": step}
    change_each([order_id], lambda id: shop.post(f"/orders/{id}/resend", body), "order", as_json=as_json)


@orders.command("handled")
@one_order
@click.option("--note", default="", help="What you did, for the timeline.")
@yes_option
@as_json_option
@click.pass_obj
def handled(shop: Shop, order_id: str, note: str, yes: bool, as_json: bool) -> None:
    """You dealt with what needed you; what is dead is let go."""
    order = shop.get(f"/orders/{order_id}")
    waiting = "; ".join(item["text"] for item in order["attention"] if item["handled_at"] is None)
    about = [f"{order_id}: counts as dealt with: {waiting or 'nothing'}", f"  will never run: {_dead_steps(order)}"]
    go_ahead(about, yes=yes)
    body = {"note": note, "version": order["version"]}
    change_each([order_id], lambda id: shop.post(f"/orders/{id}/handled", body), "order", as_json=as_json)


@orders.command("release")
@one_order
@yes_option
@as_json_option
@click.pass_obj
def release(shop: Shop, order_id: str, yes: bool, as_json: bool) -> None:
    """Fulfil an order that is held for its amount."""
    order = shop.get(f"/orders/{order_id}")
    go_ahead([f"{order_id}: is fulfilled although {paid(order['payment'] or {})} was paid"], yes=yes)
    change_each([order_id], lambda id: shop.post(f"/orders/{id}/release"), "order", as_json=as_json)


orders.add_command(packing)
orders.add_command(ship)


def _dead_steps(order: Json) -> str:
    return ", ".join(step["id"] for step in order["steps"] if step["state"] == "dead") or "no step; none is dead"


def _recipient(order: Json, step_id: str) -> str:
    step = next((step for step in order["steps"] if step["id"] == step_id), None)
    if step is not None and step["config"].get("to") == "admins":
        return "the admins"
    return order["buyer"]["email"] or "the buyer"
