"""`pushcart alerts`: what the owner was told is wrong, the answer to it, and a test of the addresses."""

from __future__ import annotations

from typing import Any

import click
from rich.text import Text

from cli.connect import Shop
from cli.output import as_json_option, coloured, moment, print_json, say, table
from pushcart import commands

#: The function that keeps the alerts.
ALERT = "alert"

#: What is told, and how it shows.
STYLES = {"critical": "bold red", "warning": "yellow", "info": "dim"}


class AlertId(click.ParamType):
    """What can be an alert's id; anything else would not reach the shop as it was written."""

    name = "alert id"

    def convert(self, value: str, param: click.Parameter | None, context: click.Context | None) -> str:
        if not value or not all(letter.isascii() and (letter.isalnum() or letter in "._-") for letter in value):
            self.fail(f"{value!r} is no alert's id; they look like dead_step.invite.", param, context)
        return value


@click.group()
def alerts() -> None:
    """What the shop told you is wrong: list, answer, test."""


@alerts.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what is over.")
@as_json_option
@click.pass_obj
def list_alerts(shop: Shop, everything: bool, as_json: bool) -> None:
    """What is wrong just now, the newest first."""
    items = shop.get("/incidents", ALERT, **({"all": "1"} if everything else {}))["items"]
    if as_json:
        print_json(items)
    elif not items:
        say("Nothing is wrong.")
    else:
        table(("Alert", "Level", "Since (UTC)", "State", "What"), map(_row, items), whole=("Alert", "Since (UTC)"))
        say(f"  {commands.answer_alert('ID')}   says that you have it in hand")


def _row(item: dict[str, Any]) -> tuple[str | Text, ...]:
    level = Text(item["level"], style=STYLES.get(item["level"], ""))
    what = f"{item['what']}\n{item['command']}" if item["state"] == "open" else item["what"]
    return item["id"], level, moment(item["opened_at"]), _state(item), what


def _state(item: dict[str, Any]) -> str:
    if item["state"] != "open":
        return "over"
    return "in hand" if item["answered_at"] else "open"


@alerts.command("answer")
@click.argument("alert_id", metavar="ID", type=AlertId())
@click.option("--note", default="", help="For whoever looks at it later.")
@as_json_option
@click.pass_obj
def answer(shop: Shop, alert_id: str, note: str, as_json: bool) -> None:
    """Say that you have it in hand: nobody is called or reminded any more."""
    item = shop.post(f"/incidents/{alert_id}/answer", {"note": note}, function=ALERT)
    if as_json:
        print_json(item)
    elif item["state"] == "over":
        say(f"{alert_id}: done.")
    else:
        say(f"{alert_id}: you have it in hand. You hear of it again when it is over, or gets worse.")


@alerts.command("test")
@click.option(
    "--level",
    type=click.Choice(["info", "warning", "critical"]),
    default="critical",
    show_default=True,
    help="How bad.",
)
@as_json_option
@click.pass_context
def test(context: click.Context, level: str, as_json: bool) -> None:
    """Send a test message wherever an alert of this level goes. Exits 1 when one did not go out."""
    shop: Shop = context.obj
    sent = shop.post("/test", {"level": level}, function=ALERT)["sent"]
    if as_json:
        print_json(sent)
    else:
        rows = [(one["to"], one["for"], coloured("pass" if one["ok"] else "fail"), one["error"]) for one in sent]
        table(("To", "From", "Sent", "Why not"), rows)
    context.exit(int(not all(one["ok"] for one in sent)))
