"""When a shop's clock may be moved: no webhook is under way, and order-store has nothing in hand.

On a server no call takes an hour, so a test that lets one pass waits for the calls first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from local.shop import LocalShop
from pushcart.clock import Clock, to_instant
from pushcart.repositories import Inbox, Orders
from pushcart.store import Store

#: Seconds after which a further sweep takes on what fell due since the last one.
SWEEP_AGAIN = 3.0


def come_to_rest(shop: LocalShop, store: Store, clock: Clock, sweep: Callable[[], None], seconds: float = 60) -> None:
    """Returns when nothing is under way and nothing is due; fails with what is after so many seconds."""
    end = time.monotonic() + seconds
    for sender in shop.sandbox.senders:
        sender.wait_idle(2)
    until, swept = to_instant(clock()), time.monotonic()
    while any(busy := in_hand(store, clock, until)):
        assert time.monotonic() < end, f"the shop does not come to rest: {busy}"
        if time.monotonic() > swept + SWEEP_AGAIN:
            sweep()
            swept = time.monotonic()
        time.sleep(0.02)


def in_hand(store: Store, clock: Clock, until: str) -> tuple[list[Any], list[Any], list[str]]:
    """Events and orders that were due before `until`, and orders of which a step is running."""
    soon = to_instant(clock() + timedelta(seconds=60))
    running = [
        order["id"]
        for order in store.find("orders", order_by="due_at", until=soon, limit=200)
        if any(step["state"] == "running" for step in order["steps"])
    ]
    return Inbox(store).due(until, 5), Orders(store).due(until, 5), running
