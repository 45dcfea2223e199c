"""Prints the timelines of the shop's orders as they grow."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape

from local.shop import LocalShop
from pushcart.clock import seconds_between

#: Orders looked at each time, the newest.
NEWEST = "10"

#: Seconds to keep looking after something happened in the sandbox.
LIVELY = 20


class Timelines:
    """What was printed of each order; `show` prints the rest."""

    def __init__(self, shop: LocalShop, console: Console) -> None:
        self._shop = shop
        self._console = console
        self._seen: dict[str, str] = {}
        self._printed: dict[str, int] = {}
        self._last: str | None = None
        self._sign: Any = None
        self._lively_until = 0.0
        self._earlier: set[str] = set()

    def skip_earlier(self) -> None:
        """Leaves out what a store that outlives the run holds from earlier ones."""
        for order in self._shop.orders(limit=NEWEST):
            self._earlier.add(order["id"])
            self._seen[order["id"]] = order["updated_at"]
            self._printed[order["id"]] = len(self._shop.order(order["id"])["history"])

    def show(self) -> list[dict[str, Any]]:
        """Prints what is new and returns the newest orders of this run. Raises `FunctionFailed`."""
        orders = self._shop.orders(limit=NEWEST)
        for order in reversed(orders):
            if self._seen.get(order["id"]) != order["updated_at"]:
                self._seen[order["id"]] = order["updated_at"]
                self._print(self._shop.order(order["id"]))
        return [order for order in orders if order["id"] not in self._earlier]

    def show_if_lively(self) -> None:
        """`show`, but only for a while after the sandbox sent a webhook or time was moved, to keep the logs quiet."""
        sandbox = self._shop.sandbox
        senders = (sandbox.stripe, sandbox.autopay, sandbox.printful)
        sign = (*(len(sender.deliveries) for sender in senders), sandbox.world.advanced())
        if sign != self._sign or "Stripe" in self._shop.real:
            self._sign, self._lively_until = sign, time.monotonic() + LIVELY
        if time.monotonic() < self._lively_until:
            self.show()

    def _print(self, order: dict[str, Any]) -> None:
        history = order["history"]
        first = self._printed.get(order["id"], 0)
        self._printed[order["id"]] = len(history)
        if first < len(history) and self._last != order["id"]:
            self._last = order["id"]
            self._console.print(f"\n[bold]Order {order['id']}[/]")
        for index in range(first, len(history)):
            entry = history[index]
            since = seconds_between(history[max(index - 1, 0)]["at"], entry["at"])
            what, cause = escape(entry["what"]), escape(entry["cause"])
            line = f"  {entry['at'][11:23]}  [cyan]{_span(since):>10}[/]  {what}  [dim]{cause}[/]"
            self._console.print(line, soft_wrap=True)


def _span(seconds: float) -> str:
    """`167 ms`, `42 s`, `3.0 days`: short enough for a column."""
    for unit, size in (("days", 86_400), ("h", 3600), ("s", 10)):
        if seconds >= size:
            return f"{seconds:.0f} s" if unit == "s" else f"{seconds / size:.1f} {unit}"
    return f"{seconds * 1000:.0f} ms"
