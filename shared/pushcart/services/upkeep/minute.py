"""One run of catch-up, as cron asks for it every minute: never two at a time, and noted when it got to its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from pushcart.clock import Clock
from pushcart.crash import Point, point
from pushcart.errors import FunctionFailed
from pushcart.gateway import Gateway
from pushcart.repositories import CATCH_UP, Heartbeats, Locks
from pushcart.store import Store

log = logging.getLogger(__name__)

#: Seconds order-store may take beyond the sweep's own limit, to finish the step in hand.
MARGIN = 15

#: Seconds beyond a sweep's limit in which a run may still begin something.
AFTER_SWEEP = 5

#: Seconds for the look at what is to be told.
WATCH = 10


class Minute:
    """`seconds` is the limit of order-store's sweep; its client waits `MARGIN` longer, the one of alert `WATCH`.

    `others` does what is due beside the sweep, as long as what it is given says that there is time.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        seconds: int,
        order_store: Gateway,
        alert: Gateway,
        others: Callable[[Callable[[], bool]], dict[str, Any]],
    ) -> None:
        self._locks, self._heartbeats = Locks(store, clock), Heartbeats(store, clock)
        self._seconds = seconds
        self._order_store, self._alert = order_store, alert
        self._others = others
        self._stopping = False

    def run(self) -> dict[str, Any]:
        """`{"swept", "found"}`, or that another run is at it. Raises `FunctionFailed` when there was no sweep."""
        end = time.monotonic() + self._seconds + AFTER_SWEEP
        token = self._locks.acquire(CATCH_UP, self._seconds + 2 * MARGIN)
        if token is None:
            return {"running": True}
        try:
            point(Point.SWEEP_LOCKED)
            swept, failed = self._sweep()
            point(Point.SWEEP_DONE)
            found = self._others(lambda: time.monotonic() < end and not self._stopping)
            if failed is None:
                self._heartbeats.beat(CATCH_UP, swept)
            self._watch()
            if failed is not None:
                raise failed
        finally:
            self._locks.release(CATCH_UP, token)
        return {"swept": swept, "found": found}

    def stop(self) -> None:
        """A run that is under way begins nothing more."""
        self._stopping = True

    def _sweep(self) -> tuple[dict[str, Any], FunctionFailed | None]:
        """What order-store did. When it fails, what never came is asked for all the same."""
        try:
            return self._order_store.call("order-store", "/sweep"), None
        except FunctionFailed as error:
            return {}, error

    def _watch(self) -> None:
        """Has the owner told of what is wrong; that this fails is for its own watch to notice."""
        try:
            self._alert.call("alert", "/watch", {})
        except FunctionFailed as error:
            log.warning("nobody looks at what is to be told: %s", error.message)
