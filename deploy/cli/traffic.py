"""`pushcart traffic`: how often the shop's pages are seen, which ones, and where readers come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click
from rich.bar import Bar
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from cli.connect import CHECKOUT, Shop
from cli.output import as_json_option, clean, heading, print_json, say, table

#: Pages and referrers shown; --json has all of them.
BUSIEST = 10

#: The longest bar, however wide the terminal is.
WIDEST = 80


@click.command()
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="How many, today included.")
@as_json_option
@click.pass_obj
def traffic(shop: Shop, days: int, as_json: bool) -> None:
    """Views of the shop's pages, by day (UTC)."""
    report = shop.get("/traffic", CHECKOUT, days=str(days))
    span = "today" if days == 1 else f"in the last {days} days"
    if as_json:
        print_json(report)
    elif not report["views"]:
        say(f"No view of a page was counted {span}.")
    else:
        say(f"{_counted(report['views'])} {span} (UTC)")
        _chart(report["days"])
        _busiest("Busiest pages", "Page", report["pages"])
        _busiest("Where readers come from", "Site", report["referrers"])


def _counted(views: int) -> str:
    return f"{views} view" + ("" if views == 1 else "s")


def _chart(days: list[dict[str, Any]]) -> None:
    most = max(day["views"] for day in days)
    table(
        ("Day", "Views", ""),
        [(day["day"], str(day["views"]), _Share(day["views"], most)) for day in days],
        whole=("Day", "Views"),
    )


def _busiest(title: str, what: str, counts: list[list[Any]]) -> None:
    if not counts:
        return
    heading(title)
    table((what, "Views"), [(_Folded(name), str(count)) for name, count in counts[:BUSIEST]], whole=("Views",))
    if len(counts) > BUSIEST:
        say(f"{len(counts) - BUSIEST} more; --json has them all.")


@dataclass(frozen=True)
class _Folded:
    """A path or a host, broken anywhere where the terminal is too narrow for it."""

    name: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(clean(self.name))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max(len(self.name), 1)
        return Measurement(min(longest, 8), longest).with_maximum(options.max_width)


@dataclass(frozen=True)
class _Share:
    """A bar as long as `value` is of `most`, in eighths of a letter where the terminal can show them."""

    value: int
    most: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        if not self.value:
            yield Text()
        elif options.ascii_only:
            yield Text("#" * max(1, width * self.value // self.most))
        else:
            # At least an eighth: a day with one view is none without any.
            yield Bar(self.most, 0, max(self.value, self.most / width / 8), width=width, color="green")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, min(options.max_width, WIDEST))
