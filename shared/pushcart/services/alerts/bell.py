"""Rings for the function `alert` when a step dies, so that the owner need not wait for the next minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from pushcart.errors import FunctionFailed
from pushcart.gateway import Gateway
from pushcart.services.metrics.watching import Unwatched

log = logging.getLogger(__name__)

#: Seconds in which it rings once: one look finds all that died.
PAUSE = 10.0


class Bell(Unwatched):
    """A `Watcher`. What it does not ring for, or in vain, the alert's own look finds within a minute."""

    def __init__(self, gateway: Gateway, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gateway = gateway
        self._now = monotonic
        self._last: float | None = None
        self._lock = threading.Lock()

    def step_ended(self, kind: str, outcome: str, seconds: float) -> None:
        """Rings for a step that is dead."""
        if outcome == "dead" and self._first():
            try:
                self._gateway.hint("alert", "/watch", {})
            except FunctionFailed as error:
                log.warning("alert will look by itself within a minute: %s", error.message)

    def event_ended(self, outcome: str) -> None:
        """Rings for an event that is dead."""
        self.step_ended("event", outcome, 0)

    def _first(self) -> bool:
        with self._lock:
            if self._last is not None and self._now() - self._last < PAUSE:
                return False
            self._last = self._now()
            return True
