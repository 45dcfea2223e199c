"""`pushcart orders`: find them, see what happened, help them along."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from cli.connect import Shop
from cli.output import (
    amount,
    as_json_option,
    change_each,
    coloured,
    go_ahead,
    heading,
    listing,
    listing_options,
    moment,
    print_json,
    say,
    table,
    yes_option,
)
from pushcart.domain.order import FulfilmentStatus, PaymentStatus

Json = dict[str, Any]


class OrderId(click.ParamType):
    """What can be an order's id; anything else would not reach the shop as it was written."""

    name = "order id"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> str:
        if not (value.isascii() and value.replace("-", "").replace("_", "").isalnum()):
            self.fail(f"{value!r} is no order id; pushcart orders list shows them.", param, context)
        return value


one_order = click.argument("order_id", metavar="ID", type=OrderId())
some_orders = click.argument("order_ids", metavar="ID...", type=OrderId(), nargs=-1, required=True)


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


@orders.command("show")
@one_order
@as_json_option
@click.pass_obj
def show_order(shop: Shop, order_id: str, as_json: bool) -> None:
    """One order with its steps and its timeline."""
    order = shop.get(f"/orders/{order_id}")
    if as_json:
        print_json(order)
        return
    _show_head(order)
    _show_lines(order)
    if order["steps"]:
        heading("Steps")
        rows = [
            (
                step["id"],
                coloured(step["state"]),
                str(step["attempts"]),
                moment(step["done_at"] or step["due_at"]),
                step["error"] if step["state"] != "done" else "",
            )
            for step in order["steps"]
        ]
        table(("Step", "State", "Tries", "Done or due (UTC)", "Error"), rows, whole=("Step",))
    waiting = [item for item in order["attention"] if item["handled_at"] is None]
    if waiting:
        heading("Needs you")
        table(("Since (UTC)", "What", "Why"), [(moment(i["since"]), i["code"], i["text"]) for i in waiting])
    heading("Timeline")
    table(("When (UTC)", "What", "Cause"), [(moment(e["at"]), e["what"], e["cause"]) for e in order["history"]])


def _show_head(order: Json) -> None:
    payment, buyer = order["payment"] or {}, order["buyer"]
    say(f"Order {order['id']}")
    say("  Payment     ", coloured(order["payment_status"]), f"  {_paid(payment)}")
    say("  Fulfilment  ", coloured(order["fulfilment_status"]))
    say(f"  Made        {moment(order['created_at'])}  paid {moment(order['paid_at']) or 'not yet'}  (UTC)")
    who = ", ".join(part for part in (buyer["name"], buyer["email"], buyer["phone"]) if part)
    say(f"  Buyer       {who or 'unknown'}")
    if order["shipping"]:
        address = order["shipping"]["address"]
        parts = (order["shipping"]["name"], *(address[key] for key in ("line1", "line2", "postal_code", "city")))
        say(f"  Goes to     {', '.join(part for part in (*parts, address['country']) if part)}")
    if payment.get("payment_intent"):
        say(f"  At {payment['provider'].capitalize():<9}{_payment_page(payment)}")


def _paid(payment: Json) -> str:
    text = amount(payment.get("amount_total"), payment.get("currency"))
    if payment.get("amount_refunded"):
        text += f", {amount(payment['amount_refunded'], payment['currency'])} of it given back"
    return text


def _payment_page(payment: Json) -> str:
    """Where Stripe shows the payment; of another provider, the payment's number there."""
    if payment["provider"] != "stripe":
        return str(payment["payment_intent"])
    test = "" if payment["livemode"] else "test/"
    return f"https://dashboard.stripe.com/{test}payments/{payment['payment_intent']}"


def _show_lines(order: Json) -> None:
    if not order["lines"]:
        return
    heading("Lines")
    currency = (order["payment"] or {}).get("currency")
    rows = [
        (line["name"], line["sku"] or "unknown", str(line["quantity"]), amount(line["amount_total"], currency))
        for line in order["lines"]
    ]
    table(("Name", "Product", "Quantity", "Amount"), rows)


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
    go_ahead([f"{order_id}: is fulfilled although {_paid(order['payment'] or {})} was paid"], yes=yes)
    change_each([order_id], lambda id: shop.post(f"/orders/{id}/release"), "order", as_json=as_json)


def _dead_steps(order: Json) -> str:
    return ", ".join(step["id"] for step in order["steps"] if step["state"] == "dead") or "no step; none is dead"


def _recipient(order: Json, step_id: str) -> str:
    step = next((step for step in order["steps"] if step["id"] == step_id), None)
    if step is not None and step["config"].get("to") == "admins":
        return "the admins"
    return order["buyer"]["email"] or "the buyer"
