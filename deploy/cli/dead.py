"""`pushcart dead`: everything that needs a human, and nothing else."""

from __future__ import annotations

import click

from cli.connect import Shop
from cli.output import as_json_option, heading, moment, print_json, say, table
from pushcart import commands
from pushcart.domain.event import EventStatus
from pushcart.domain.order import FulfilmentStatus


@click.command()
@as_json_option
@click.pass_context
def dead(context: click.Context, as_json: bool) -> None:
    """What needs you. Exits 1 when there is something."""
    shop: Shop = context.obj
    needing = shop.pages("/orders", {"fulfilment_status": FulfilmentStatus.NEEDS_ATTENTION})["items"]
    stuck = shop.pages("/events", {"status": EventStatus.DEAD})["items"]
    # A provider that refuses to be asked is told at once; its events are still tried.
    stuck += [event for event in shop.pages("/events", {"status": EventStatus.PENDING})["items"] if event["alarm"]]
    if as_json:
        print_json({"orders": needing, "events": stuck})
    elif not (needing or stuck):
        say("Nothing needs you.")
    else:
        _show(needing, stuck)
    context.exit(int(bool(needing or stuck)))


def _show(needing: list[dict], stuck: list[dict]) -> None:
    if needing:
        heading("Orders")
        rows = [(order["id"], moment(order["updated_at"]), "\n".join(order["attention"])) for order in needing]
        table(("Order", "Changed (UTC)", "What needs you"), rows, whole=("Order",))
        for command in (commands.show_order, commands.retry_order, commands.handled_order):
            say(f"  {command('ID')}")
    if stuck:
        heading("Events")
        rows = [(event["id"], moment(event["received_at"]), event["type"], event["error"]) for event in stuck]
        table(("Event", "Came (UTC)", "Type", "Error"), rows, whole=("Event",))
        for command in (commands.show_event, commands.replay_event):
            say(f"  {command('ID')}")
