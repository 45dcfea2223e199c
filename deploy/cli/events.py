"""`pushcart events`: what the providers told the shop, and what became of it."""

from __future__ import annotations

import json
import re
from typing import Any

import click
from rich.text import Text

from cli.connect import Shop
from cli.output import (
    as_json_option,
    change_each,
    clean,
    coloured,
    go_ahead,
    heading,
    listing,
    listing_options,
    moment,
    print_json,
    say,
    yes_option,
)
from pushcart.domain.event import EventStatus


class EventId(click.ParamType):
    """What can be an event's id; anything else would not reach the shop as it was written."""

    name = "event id"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> str:
        if not re.fullmatch(r"[a-z]+:[A-Za-z0-9._-]+", value):
            self.fail(f"{value!r} is no event id; they look like stripe:evt_1Abc.", param, context)
        return value


@click.group()
def events() -> None:
    """Events as they came in: list, show, replay."""


@events.command("list")
@click.option("--status", type=click.Choice([*map(str, EventStatus)]), help="How far the shop is with them.")
@listing_options
@click.pass_obj
def list_events(shop: Shop, status: str | None, limit: int, everything: bool, as_json: bool) -> None:
    """Events, newest first."""
    page = shop.pages("/events", {"status": status}, limit, everything=everything)
    columns = ("Event", "Came (UTC)", "Type", "Status", "Order", "Error")
    listing(page, "event", columns, _row, whole=("Event", "Order"), as_json=as_json)


def _row(event: dict[str, Any]) -> tuple[str | Text | None, ...]:
    came, status = moment(event["received_at"]), coloured(event["status"])
    return event["id"], came, event["type"], status, event["order_id"], event["error"]


@events.command("show")
@click.argument("event_id", metavar="ID", type=EventId())
@as_json_option
@click.pass_obj
def show_event(shop: Shop, event_id: str, as_json: bool) -> None:
    """One event with its body as it came."""
    event = shop.get(f"/events/{event_id}")
    if as_json:
        print_json(event)
        return
    say(f"Event {event['id']}")
    say(f"  Type    {event['type']}")
    say("  Status  ", coloured(event["status"]), f"  {event['error'] or ''}")
    say(f"  Came    {moment(event['received_at'])}  done {moment(event['done_at']) or 'not yet'}  (UTC)")
    say(f"  Order   {event['order_id'] or 'none'}")
    heading("Body")
    click.echo(_readable(event["body"]))


def _readable(body: str) -> str:
    """A body as it came, JSON with a line for each field."""
    try:
        return json.dumps(json.loads(body), indent=2)
    except ValueError:
        return clean(body)


@events.command("replay")
@click.argument("event_ids", metavar="ID...", type=EventId(), nargs=-1, required=True)
@yes_option
@as_json_option
@click.pass_obj
def replay(shop: Shop, event_ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Apply events again, for example after a product was added to shop.yml."""
    read = [shop.get(f"/events/{event_id}") for event_id in event_ids]
    go_ahead([f"{one['id']}: {one['type']}, now {one['status']}, will be applied again" for one in read], yes=yes)
    change_each(event_ids, lambda id: shop.post(f"/events/{id}/replay"), "event", as_json=as_json)
