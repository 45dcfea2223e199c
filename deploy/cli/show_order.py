"""`pushcart orders show`: one order, with all that is known of it."""

from __future__ import annotations

from typing import Any

import click

from cli.connect import Shop
from cli.order_id import one_order
from cli.output import amount, as_json_option, coloured, heading, moment, print_json, say, table

Json = dict[str, Any]


@click.command("show")
@one_order
@as_json_option
@click.pass_obj
def show_order(shop: Shop, order_id: str, as_json: bool) -> None:
    """One order with its steps, its parcels and its timeline."""
    order = shop.get(f"/orders/{order_id}")
    if as_json:
        print_json(order)
        return
    _show_head(order)
    _show_lines(order)
    _show_prints(order)
    _show_parcels(order)
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


def paid(payment: Json) -> str:
    """What was paid, and what of it was given back."""
    text = amount(payment.get("amount_total"), payment.get("currency"))
    if payment.get("amount_refunded"):
        text += f", {amount(payment['amount_refunded'], payment['currency'])} of it given back"
    return text


def goes_to(shipping: Json | None) -> str:
    """The address on one line; empty without one."""
    if not shipping:
        return ""
    address = shipping["address"]
    parts = (shipping["name"], *(address[key] for key in ("line1", "line2", "postal_code", "city", "state", "country")))
    return ", ".join(part for part in parts if part)


def _show_head(order: Json) -> None:
    payment, buyer = order["payment"] or {}, order["buyer"]
    say(f"Order {order['id']}")
    say("  Payment     ", coloured(order["payment_status"]), f"  {paid(payment)}")
    say("  Fulfilment  ", coloured(order["fulfilment_status"]))
    say(f"  Made        {moment(order['created_at'])}  paid {moment(order['paid_at']) or 'not yet'}  (UTC)")
    who = ", ".join(part for part in (buyer["name"], buyer["email"], buyer["phone"]) if part)
    say(f"  Buyer       {who or 'unknown'}")
    if order["shipping"]:
        say(f"  Goes to     {goes_to(order['shipping'])}")
    if payment.get("payment_intent"):
        say(f"  At {payment['provider'].capitalize():<9}{_payment_page(payment)}")


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


def _show_prints(order: Json) -> None:
    if not order["prints"]:
        return
    heading("Printed at Printful")
    currency = (order["payment"] or {}).get("currency")
    rows = []
    for made in order["prints"]:
        costs = made["costs"] or {}
        sold = amount(made["retail"], currency)
        cost = amount(costs.get("total"), costs.get("currency"))
        back = amount(sum(made["refunds"].values()) or None, costs.get("currency"))
        status = coloured(made["status"])
        rows.append((made["number"], status, moment(made["placed_at"]), sold, cost, back, _margin(made, currency)))
    columns = ("Number", "Status", "Placed (UTC)", "Sold for", "Cost", "Given back", "Margin")
    table(columns, rows, whole=("Number",))
    for made in order["prints"]:
        if made["error"]:
            say(f"{made['number']}: {made['error']}")


def _margin(made: Json, currency: str | None) -> str:
    """What is left of what the buyer paid for these lines; none where the costs are in another currency."""
    costs = made["costs"]
    if not costs or not currency or costs["currency"].upper() != currency.upper():
        return ""
    return amount(made["retail"] - costs["total"] + sum(made["refunds"].values()), currency)


def _show_parcels(order: Json) -> None:
    if not order["parcels"]:
        return
    heading("Parcels")
    rows = [
        (
            moment(parcel["shipped_at"]),
            "you" if parcel["provider"] == "owner" else parcel["provider"].capitalize(),
            parcel["carrier"],
            parcel["tracking_number"],
            "\n".join(f"{item['quantity']} x {item['name']}" for item in parcel["items"]),
            _became(parcel),
        )
        for parcel in order["parcels"]
    ]
    table(("Sent (UTC)", "By", "Carrier", "Number", "In it", ""), rows, whole=("Number",))
    for parcel in order["parcels"]:
        if parcel["tracking_url"]:
            say(f"{parcel['tracking_number'] or parcel['id']}: {parcel['tracking_url']}")


def _became(parcel: Json) -> str:
    again = "in place of a lost one" if parcel["reshipment"] else ""
    back = f"came back {moment(parcel['returned_at'])}" if parcel["returned_at"] else ""
    why = f"{back}: {parcel['reason']}" if back and parcel["reason"] else back
    return ", ".join(part for part in (again, why) if part)
