"""Failed signatures at a webhook's door: one now and then is nothing, many are an alarm."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from pushcart import commands
from pushcart.errors import FunctionFailed, StoreUnavailable
from pushcart.gateway import Gateway
from pushcart.services.alerts.incidents import Condition, Incidents, Level

log = logging.getLogger(__name__)

#: So many within so many seconds are too many; the alarm is refreshed no more often than `AGAIN`.
MOST, WITHIN, AGAIN = 20, 600.0, 300.0

#: Seconds until the alarm counts as over.
LASTS = 1_800

#: Failures that are remembered one by one.
_KEPT = 1_000


class Rate:
    """Counts failures, in memory. Thread-safe; `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = monotonic
        self._failures: deque[float] = deque(maxlen=_KEPT)
        self._told: float | None = None
        self._lock = threading.Lock()

    def failed(self) -> int | None:
        """How many there were lately when they are too many and that was not said lately, else None."""
        with self._lock:
            now = self._now()
            self._failures.append(now)
            while self._failures[0] < now - WITHIN:
                self._failures.popleft()
            if len(self._failures) <= MOST or (self._told is not None and now - self._told < AGAIN):
                return None
            self._told = now
            return len(self._failures)


class SignatureAlarm:
    """Raises the alarm for one webhook. What it writes it writes on a thread of its own: nobody waits for it."""

    def __init__(self, incidents: Incidents, gateway: Gateway, function: str, secret: str, rate: Rate | None = None):
        self._incidents = incidents
        self._gateway = gateway
        self._function = function
        self._secret = secret
        self._rate = rate or Rate()

    def failed(self) -> None:
        """One more call whose signature did not fit."""
        count = self._rate.failed()
        if count is not None:
            threading.Thread(target=self._tell, args=(count,), name="signatures", daemon=True).start()

    def _tell(self, count: int) -> None:
        condition = Condition(
            id=f"signatures.{self._function}",
            level=Level.WARNING,
            what=f"{self._function} refused {count} calls within 10 minutes because their signature did not fit",
            means=f"either strangers try it, and nothing came of it, or the secret {self._secret} is not the sender's: "
            "then payments wait until catch-up finds them",
            command=commands.doctor(),
            count=count,
            lasts=LASTS,
        )
        try:
            self._incidents.see(condition)
            self._gateway.hint("alert", "/watch", {})
        except (StoreUnavailable, FunctionFailed) as error:
            log.warning("the alarm about signatures is left to the next one: %s", error.message)
