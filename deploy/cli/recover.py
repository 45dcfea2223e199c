"""`pushcart recover`: everything that Stripe and Printful know, compared with every order."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli.connect import SaidNo, Shop, Unreachable
from cli.output import as_json_option, coloured, heading, moment, print_json, say, table
from pushcart import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

CATCH_UP = "catch-up"

#: Findings of one kind that are shown; --report and --json have all of them.
SHOWN = 20

#: What each kind is called, for people.
KINDS = {
    "paid_without_order": "Paid, but there is no order",
    "order_not_paid": "Paid, but the order does not know",
    "not_paid_at_stripe": "The order counts as paid, Stripe says it is not",
    "paid_twice": "Paid a second time",
    "amount_differs": "Another amount",
    "refund_differs": "Another refund",
    "dispute_differs": "Another dispute",
    "order_unknown_to_stripe": "Paid orders that Stripe does not know",
    "wrong_mode": "Paid in Stripe's other mode",
    "strange_print": "Orders at Printful that no order asked for",
    "print_differs": "Printful knows more than the order",
    "print_unknown": "Prints that Printful does not know",
    "not_compared": "Could not be compared",
    "print_goes_on": "Refunded, but Printful still makes it",
}

REPAIRS = {"done": "repaired", "will": "--apply repairs it", "no": "needs you"}


class Sums:
    """What all slices found together: everything counted, and the first of each kind kept."""

    def __init__(self) -> None:
        self.checked: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.repairs: Counter[str] = Counter()
        self.upto = ""
        self._kept: dict[str, list[dict[str, Any]]] = {}

    def add(self, part: dict[str, Any]) -> None:
        self.checked.update(part["checked"])
        self.upto = part["upto"]
        for finding in part["findings"]:
            self.counts[finding["code"]] += 1
            self.repairs[finding["repair"]] += 1
            kept = self._kept.setdefault(finding["code"], [])
            if len(kept) < SHOWN:
                kept.append(finding)

    @property
    def human(self) -> bool:
        """Whether something needs a human."""
        return bool(self.repairs["no"])

    def show(self) -> None:
        for code, findings in self._kept.items():
            heading(f"{KINDS.get(code, code)}: {self.counts[code]}")
            _list(findings)
            if self.counts[code] > len(findings):
                say(f"{self.counts[code] - len(findings)} more; --report FILE keeps them all.")


@click.command()
@click.option("--apply", is_flag=True, help="Repair what can be repaired safely; without it nothing is changed.")
@click.option("--report", type=click.File("w", lazy=False), help="Keep every finding there, one JSON object a line.")
@click.option("--last", is_flag=True, help="Only show what the recovery of the last start found.")
@as_json_option
@click.pass_context
def recover(context: click.Context, apply: bool, report: IO[str] | None, last: bool, as_json: bool) -> None:
    """Compare every payment and print with its order.

    From now back to the beginning. Without --apply it only looks. Exits 1 when something needs you.
    """
    shop: Shop = context.obj
    if last:
        if apply or report:
            raise click.UsageError("--last only shows; leave out --apply and --report.")
        return context.exit(_last(shop, as_json=as_json))
    sums = Sums()
    kept: list[dict[str, Any]] = []
    stopped: click.ClickException | None = None
    with _progress(quiet=as_json) as bar:
        try:
            for part in _slices(shop, apply=apply):
                sums.add(part)
                bar.show(part, sums)
                kept += part["findings"] if as_json else []
                for finding in part["findings"] if report else ():
                    print(json.dumps(finding), file=report)
        except (SaidNo, Unreachable) as error:
            stopped = error
    if stopped is not None and (as_json or not sums.checked):
        raise stopped
    if as_json:
        found = {"checked": sums.checked, "counts": sums.counts, "upto": sums.upto, "findings": kept}
        print_json({"applied": apply, **found})
    else:
        sums.show()
        _conclude(sums, apply=apply)
    if stopped is not None:
        raise stopped
    context.exit(int(sums.human))


def _slices(shop: Shop, *, apply: bool) -> Iterator[dict[str, Any]]:
    """One slice after the other, as fast as the providers allow."""
    cursor: str | None = None
    while True:
        part = shop.post("/recover", {"cursor": cursor, "apply": apply}, function=CATCH_UP)
        yield part
        cursor = part["cursor"]
        if cursor is None:
            return
        if part["wait"]:
            time.sleep(part["wait"])


class _Bar:
    """How far back everything is compared, on the terminal's error output."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("comparing", total=None, where="")
        self._orders: int | None = None

    def show(self, part: dict[str, Any], sums: Sums) -> None:
        self._orders = part["orders"] if part["orders"] is not None else self._orders
        seen = sums.checked["orders"]
        where = f"{_counted(sums)}, back to {part['at'][:10]}" if part["cursor"] else _counted(sums)
        total = max(self._orders, seen) if self._orders else None
        self._progress.update(self._task, completed=seen, total=total, where=where)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[_Bar]:
    parts = (SpinnerColumn(), BarColumn(), TextColumn("{task.fields[where]}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*parts, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        yield _Bar(progress)


def _last(shop: Shop, *, as_json: bool) -> int:
    """Shows the report of the last start; 1 when something in it needs a human."""
    report = shop.get("/recover", CATCH_UP)["last"]
    if as_json:
        print_json(report)
    elif report is None:
        say("No recovery was begun yet; catch-up asks for one at its first run.")
    else:
        ended = report["finished_at"]
        until = f"ended {moment(ended)}" if ended else "is going on"
        say(f"The recovery that began {moment(report['started_at'])} {until} (UTC).")
        sums = Sums()
        sums.add({"checked": report["checked"], "findings": report["findings"], "upto": report["started_at"]})
        sums.counts = Counter(report["counts"])
        sums.show()
        _conclude(sums, apply=True)
    return int(bool(report and report["by_hand"]))


def _conclude(sums: Sums, *, apply: bool) -> None:
    say(f"{_counted(sums)} compared.")
    if not sums.counts:
        say("Everything agrees.")
        return
    if not apply and sums.repairs["will"]:
        say(f"Nothing was changed. {sums.repairs['will']} can be repaired: pushcart recover --apply")
    elif sums.repairs["done"]:
        say(f"{sums.repairs['done']} are read again and repaired now; compare once more in a minute.")
    if sums.human:
        say(f"{sums.repairs['no']} need you; look at each with {commands.show_order('ID')}")


def _counted(sums: Sums) -> str:
    names = {"sessions": "payments", "orders": "orders", "prints": "prints", "foreign": "of others"}
    return ", ".join(f"{sums.checked[key]:,} {name}" for key, name in names.items() if key in sums.checked) or "nothing"


def _list(findings: list[dict[str, Any]]) -> None:
    rows = [
        (one["order"] or one["object"], one["text"], coloured(REPAIRS[one["repair"]]), one["command"])
        for one in findings
    ]
    table(("Order", "Found", "", "Look at it with"), rows, whole=("Order", ""))
