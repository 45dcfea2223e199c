"""What the command prints: tables for people, JSON for scripts, and questions before anything changes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

import click
from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from cli.connect import SaidNo, Unreachable
from pushcart.domain import money

#: The width of a table that goes into a file or a pipe.
PIPED_WIDTH = 140

#: Columns of numbers.
NUMBERS = frozenset({"Amount", "Quantity", "Tries", "Views", "Stock", "Sold", "Held", "Left"})

STYLES = {
    "fulfilled": "green",
    "applied": "green",
    "done": "green",
    "pass": "green",
    "needs_attention": "bold red",
    "dead": "bold red",
    "fail": "bold red",
    "disputed": "red",
    "failed": "yellow",
    "warn": "yellow",
    "skip": "dim",
    "cancelled": "dim",
}


def as_json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--json` for a command, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")(command)


def listing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--limit`, `--all` and `--json` for a command that lists, as `limit`, `everything` and `as_json`."""
    size = click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="At most so many.")
    whole = click.option("--all", "everything", is_flag=True, help="All there are, whatever the limit.")
    return size(whole(as_json_option(command)))


def yes_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--yes` for a command that changes something: refused at once where nobody could be asked."""

    def ask_somebody(context: click.Context, option: click.Parameter, yes: bool) -> bool:
        if not (yes or sys.stdin.isatty() or context.resilient_parsing):
            raise click.UsageError("This changes the shop, and there is no terminal to ask at: add --yes.")
        return yes

    return click.option("--yes", is_flag=True, callback=ask_somebody, help="Do it without asking.")(command)


def go_ahead(about: Iterable[str], *, yes: bool) -> None:
    """Says what is about to be done and, without `yes`, asks; `SaidNo` when the answer is no."""
    for line in about:
        click.echo(clean(line), err=True)
    if not yes and not click.confirm("Go ahead?", err=True):
        raise SaidNo("Nothing was changed.")


def change_each(ids: Iterable[str], change: Callable[[str], Any], what: str, *, as_json: bool) -> None:
    """Changes one after the other, goes on after a refusal, and prints what became of each.

    As JSON a list of `{"id", "ok", "error" or what}`. Exits 1 when one was refused, 3 when one was not reached.
    """
    results: list[dict[str, Any]] = []
    status = 0
    for id in ids:
        try:
            results.append({"id": id, "ok": True, what: change(id)})
        except (SaidNo, Unreachable) as error:
            status = max(status, error.exit_code)
            results.append({"id": id, "ok": False, "error": error.message})
    for result in results:
        if not result["ok"]:
            click.echo(f"Error: {result['id']}: {clean(result['error'])}", err=True)
        elif not as_json:
            click.echo(f"{result['id']}: done. See what becomes of it: pushcart {what}s show {result['id']}")
    if as_json:
        print_json(results)
    if status:
        click.get_current_context().exit(status)


def listing(
    page: Any,
    what: str,
    columns: Iterable[str],
    row: Callable[[Any], Iterable[str | Text | None]],
    *,
    whole: Iterable[str],
    as_json: bool,
) -> None:
    """A page of a listing of `what`: as JSON, or as a table with a `row` for each item."""
    if as_json:
        print_json(page)
    elif not page["items"]:
        say(f"There is no such {what}.")
    else:
        table(columns, map(row, page["items"]), whole=whole)
        if page["cursor"]:
            say(f"These are the newest {len(page['items'])}; --all shows every one.")


def print_json(value: Any) -> None:
    """JSON whose texts hold nothing that a terminal would obey: what cannot be printed is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo("".join(letter if letter.isprintable() or letter == "\n" else _escaped(letter) for letter in text))


def _escaped(letter: str) -> str:
    """`\\u009b`, as JSON has it; two of them above U+FFFF."""
    pairs = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pairs[at : at + 2].hex()}" for at in range(0, len(pairs), 2))


def say(*parts: str | Text) -> None:
    """One line, wrapped by the terminal only, so that commands in it can be copied."""
    line = Text().join(part if isinstance(part, Text) else Text(clean(part)) for part in parts)
    Console(highlight=False).print(line, soft_wrap=True)


def heading(text: str) -> None:
    say(Text(f"\n{clean(text)}", style="bold"))


def table(
    columns: Iterable[str], rows: Iterable[Iterable[RenderableType | None]], *, whole: Iterable[str] = ()
) -> None:
    """A table; the columns in `whole` are never cut or broken, however narrow the terminal is."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    never_cut = set(whole)
    for column in columns:
        justify = "right" if column in NUMBERS else "left"
        shown.add_column(column, no_wrap=column in never_cut, overflow="fold", justify=justify)  # type: ignore[arg-type]
    for row in rows:
        shown.add_row(*(Text(clean(cell or "")) if isinstance(cell, str | None) else cell for cell in row))
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    wide = Console(width=10_000)
    console.width = max(console.width, Measurement.get(wide, wide.options, shown).minimum)
    console.print(shown)


def clean(text: str) -> str:
    """Text from outside without what a terminal would obey."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def coloured(word: str) -> Text:
    """A status in its colour."""
    return Text(clean(word), style=STYLES.get(word, ""))


def moment(instant: str | None) -> str:
    """`2026-11-21 08:45:36`, in UTC as the column's heading says."""
    return instant[:19].replace("T", " ") if instant else ""


def amount(value: int | None, currency: str | None) -> str:
    """`49.00 EUR`, from minor units."""
    return "" if value is None or not currency else money.plain(value, currency)
